//! The tokens of a file: what each one is and which bytes it stands for.

use super::{
    byte_alphabet,
    error::TokenizerError,
    token::{TokenId, TokenKind},
};

/// Most tokens a file may have.
const MAX_TOKENS: usize = 1 << 22;

/// What SentencePiece writes for a space (U+2581).
pub(super) const BOUNDARY: char = '▁';

/// How the text of a token spells its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Every byte is a character of GPT-2's alphabet.
    ByteAlphabet,
    /// Text in which U+2581 stands for a space.
    Boundaries,
}

/// The token of each byte, where there is one.
pub(super) type ByteTokens = Box<[Option<TokenId>; 256]>;

/// The tokens of a file.
#[derive(Debug)]
pub(super) struct Vocabulary {
    kinds: Vec<TokenKind>,
    /// Bytes of all tokens, one after the other.
    bytes: Vec<u8>,
    /// End of each token in `bytes`.
    ends: Vec<usize>,
}

impl Vocabulary {
    pub(super) fn new(
        tokens: &[String],
        types: &[i32],
        spelling: Spelling,
    ) -> Result<Self, TokenizerError> {
        if tokens.is_empty() || tokens.len() > MAX_TOKENS {
            return Err(TokenizerError::VocabularySize { tokens: tokens.len(), limit: MAX_TOKENS });
        }
        let kinds = kinds(types, tokens.len())?;
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(tokens.len());
        for (text, kind) in tokens.iter().zip(&kinds) {
            push_bytes(text, *kind, spelling, &mut bytes);
            ends.push(bytes.len());
        }
        Ok(Self { kinds, bytes, ends })
    }

    /// The byte tokens, spelled `<0xAB>`.
    pub(super) fn byte_tokens(&self) -> ByteTokens {
        let mut tokens = Box::new([None; 256]);
        for id in self.ids(TokenKind::Byte) {
            if let Some(&[byte]) = self.bytes(id) {
                tokens[usize::from(byte)].get_or_insert(id);
            }
        }
        tokens
    }

    /// The tokens of a kind, in order.
    pub(super) fn ids(&self, kind: TokenKind) -> impl Iterator<Item = TokenId> {
        (0..).zip(&self.kinds).filter(move |(_, found)| **found == kind).map(|(id, _)| id)
    }

    pub(super) fn kind(&self, id: TokenId) -> Option<TokenKind> {
        self.kinds.get(id as usize).copied()
    }

    pub(super) fn bytes(&self, id: TokenId) -> Option<&[u8]> {
        let end = *self.ends.get(id as usize)?;
        let start = (id as usize).checked_sub(1).map_or(0, |before| self.ends[before]);
        self.bytes.get(start..end)
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }
}

fn push_bytes(text: &str, kind: TokenKind, spelling: Spelling, bytes: &mut Vec<u8>) {
    let is_text = match kind {
        TokenKind::Normal => true,
        TokenKind::UserDefined | TokenKind::Unused => spelling == Spelling::Boundaries,
        TokenKind::Unknown | TokenKind::Control | TokenKind::Byte => false,
    };
    match (spelling, spelled_byte(text)) {
        (_, Some(byte)) if kind == TokenKind::Byte => bytes.push(byte),
        (Spelling::ByteAlphabet, _) if is_text => bytes.extend(byte_alphabet::decode(text)),
        (Spelling::Boundaries, _) if is_text => bytes.extend(text.replace(BOUNDARY, " ").bytes()),
        _ => bytes.extend_from_slice(text.as_bytes()),
    }
}

/// The kinds of a file's tokens; all are normal when the file gives none.
fn kinds(types: &[i32], tokens: usize) -> Result<Vec<TokenKind>, TokenizerError> {
    if types.is_empty() {
        return Ok(vec![TokenKind::Normal; tokens]);
    }
    if types.len() != tokens {
        return Err(TokenizerError::TokenTypes { types: types.len(), tokens });
    }
    let kind = |(token, &number)| {
        TokenKind::from_ggml(number)
            .ok_or(TokenizerError::UnknownTokenType { token: token as u32, number })
    };
    types.iter().enumerate().map(kind).collect()
}

/// The byte that a text like `<0xAB>` spells.
fn spelled_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}
