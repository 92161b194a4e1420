//! The tokens of a file: kind, bytes, and which text becomes which token.
//!
//! Only normal and byte tokens can be reached from text; control tokens never, whatever their text is.

use std::collections::HashMap;

use super::{
    byte_alphabet,
    error::TokenizerError,
    merges::{Merges, Symbol},
    token::{TokenId, TokenKind},
};

/// Most tokens a file may have.
const MAX_TOKENS: usize = 1 << 22;
/// Most merges a file may have.
const MAX_MERGES: usize = 1 << 22;

/// The tokens of a file.
#[derive(Debug)]
pub(super) struct Vocabulary {
    kinds: Vec<TokenKind>,
    /// Bytes of all tokens, one after the other.
    bytes: Vec<u8>,
    /// End of each token in `bytes`.
    ends: Vec<usize>,
    /// Symbols of text in the byte alphabet; those past the tokens are intermediates of merges.
    symbols: HashMap<String, Symbol>,
    /// Bytes of the intermediates.
    intermediates: Vec<Vec<u8>>,
    byte_tokens: Box<[Option<Symbol>; 256]>,
}

impl Vocabulary {
    pub(super) fn new(tokens: &[String], types: &[i32]) -> Result<Self, TokenizerError> {
        if tokens.is_empty() || tokens.len() > MAX_TOKENS {
            return Err(TokenizerError::VocabularySize { tokens: tokens.len(), limit: MAX_TOKENS });
        }
        let kinds = kinds(types, tokens.len())?;
        let mut vocabulary = Self {
            kinds,
            bytes: Vec::new(),
            ends: Vec::with_capacity(tokens.len()),
            symbols: HashMap::with_capacity(tokens.len()),
            intermediates: Vec::new(),
            byte_tokens: Box::new([None; 256]),
        };
        for (id, text) in tokens.iter().enumerate() {
            vocabulary.push(id as TokenId, text);
        }
        let characters = byte_alphabet::characters();
        let by_character = |byte: usize| {
            vocabulary.symbols.get(characters[byte].encode_utf8(&mut [0; 4])).copied()
        };
        vocabulary.byte_tokens = Box::new(std::array::from_fn(|byte| {
            by_character(byte).or(vocabulary.byte_tokens[byte])
        }));
        Ok(vocabulary)
    }

    fn push(&mut self, id: TokenId, text: &str) {
        match self.kinds[id as usize] {
            TokenKind::Normal => {
                self.bytes.extend(byte_alphabet::decode(text));
                self.symbols.entry(text.to_owned()).or_insert(id);
            }
            TokenKind::Byte => match spelled_byte(text) {
                Some(byte) => {
                    self.bytes.push(byte);
                    self.byte_tokens[usize::from(byte)].get_or_insert(id);
                }
                None => self.bytes.extend_from_slice(text.as_bytes()),
            },
            TokenKind::Unknown
            | TokenKind::Control
            | TokenKind::UserDefined
            | TokenKind::Unused => {
                self.bytes.extend_from_slice(text.as_bytes());
            }
        }
        self.ends.push(self.bytes.len());
    }

    /// The rules of `tokenizer.ggml.merges`; adds the intermediates that they name.
    pub(super) fn merges(&mut self, lines: &[String]) -> Result<Merges, TokenizerError> {
        if lines.is_empty() || lines.len() > MAX_MERGES {
            return Err(TokenizerError::MergeCount { merges: lines.len(), limit: MAX_MERGES });
        }
        let mut merges = Merges::default();
        for (index, line) in lines.iter().enumerate() {
            let parts =
                line.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty());
            let Some((left, right)) = parts.filter(|(_, right)| !right.contains(' ')) else {
                return Err(TokenizerError::BadMerge { index, text: line.clone() });
            };
            let joined = self.symbol(&[left, right].concat());
            merges.push(self.symbol(left), self.symbol(right), joined);
        }
        Ok(merges)
    }

    /// The symbol of a text in the byte alphabet, new when there is none.
    fn symbol(&mut self, text: &str) -> Symbol {
        if let Some(&symbol) = self.symbols.get(text) {
            return symbol;
        }
        let symbol = (self.kinds.len() + self.intermediates.len()) as Symbol;
        self.intermediates.push(byte_alphabet::decode(text));
        self.symbols.insert(text.to_owned(), symbol);
        symbol
    }

    /// The token of a piece as a whole.
    pub(super) fn whole(&self, piece: &str) -> Option<TokenId> {
        let characters = byte_alphabet::characters();
        let text: String = piece.bytes().map(|byte| characters[usize::from(byte)]).collect();
        self.symbols.get(&text).copied().filter(|&symbol| self.is_token(symbol))
    }

    /// The symbols of a piece before any merge. Bytes for which the vocabulary has no symbol are left out, as in the
    /// implementations that models are trained and measured with.
    pub(super) fn bytes_to_symbols(&self, piece: &str, symbols: &mut Vec<Symbol>) {
        symbols.extend(piece.bytes().filter_map(|byte| self.byte_tokens[usize::from(byte)]));
    }

    /// Tokens of merged symbols: an intermediate that is no token becomes the tokens of its bytes.
    pub(super) fn push_tokens(&self, symbols: &[Symbol], tokens: &mut Vec<TokenId>) {
        for &symbol in symbols {
            match self.intermediates.get((symbol as usize).wrapping_sub(self.kinds.len())) {
                None => tokens.push(symbol),
                Some(bytes) => {
                    let ids = bytes.iter().filter_map(|&byte| self.byte_tokens[usize::from(byte)]);
                    tokens.extend(ids.filter(|&id| self.is_token(id)));
                }
            }
        }
    }

    fn is_token(&self, symbol: Symbol) -> bool {
        (symbol as usize) < self.kinds.len()
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
