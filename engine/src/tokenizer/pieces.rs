//! The pieces of a SentencePiece vocabulary that text can become, and what stands for text that has no piece.

use std::borrow::Cow;

use super::{
    error::TokenizerError,
    spec::TokenizerSpec,
    texts::Texts,
    token::{TokenId, TokenKind},
    vocabulary::{BOUNDARY, ByteTokens, Vocabulary},
};

/// Longer pieces are never made from text; bounds the work for each character. Published ones have at most 93 bytes.
pub(super) const MAX_PIECE_BYTES: usize = 1024;

/// A piece that text can become.
pub(super) struct Piece<'s> {
    pub(super) id: TokenId,
    /// With U+2581 for spaces.
    pub(super) text: Cow<'s, str>,
    pub(super) score: f32,
    pub(super) kind: TokenKind,
}

/// The pieces that text can become, in the order of the file. Control, unknown and byte tokens never are.
pub(super) fn reachable<'s>(
    spec: &'s TokenizerSpec,
    vocabulary: &Vocabulary,
) -> Result<Vec<Piece<'s>>, TokenizerError> {
    let (scores, tokens) = (spec.scores.len(), spec.tokens.len());
    if scores != tokens {
        return Err(TokenizerError::Scores { scores, tokens });
    }
    if let Some(token) = spec.scores.iter().position(|score| !score.is_finite()) {
        return Err(TokenizerError::BadScore { token, score: spec.scores[token].to_string() });
    }
    let piece = |((id, text), &score): ((TokenId, &'s String), &f32)| {
        let kind = vocabulary.kind(id)?;
        let reachable =
            matches!(kind, TokenKind::Normal | TokenKind::UserDefined | TokenKind::Unused);
        let fits = (1..=MAX_PIECE_BYTES).contains(&text.len());
        let text = match kind {
            // Converters write these with plain spaces.
            TokenKind::UserDefined => {
                Cow::Owned(text.replace(' ', BOUNDARY.encode_utf8(&mut [0; 4])))
            }
            _ => Cow::Borrowed(text.as_str()),
        };
        (reachable && fits).then_some(Piece { id, text, score, kind })
    };
    Ok((0..).zip(&spec.tokens).zip(&spec.scores).filter_map(piece).collect())
}

/// The user-defined pieces, which are whole wherever they stand.
pub(super) fn literals(pieces: &[Piece<'_>]) -> Texts {
    let mut texts = Texts::default();
    for piece in pieces.iter().filter(|piece| piece.kind == TokenKind::UserDefined) {
        texts.insert(piece.text.as_bytes(), piece.id);
    }
    texts
}

/// What stands for text that has no piece: its bytes, or the unknown token.
#[derive(Debug)]
pub(super) struct Fallback {
    /// `None` when a byte has no token.
    bytes: Option<ByteTokens>,
    unknown: Option<TokenId>,
}

impl Fallback {
    pub(super) fn new(
        spec: &TokenizerSpec,
        vocabulary: &Vocabulary,
    ) -> Result<Self, TokenizerError> {
        let tokens = vocabulary.byte_tokens();
        let bytes = tokens.iter().all(Option::is_some).then_some(tokens);
        let unknown = spec.roles.unknown.or_else(|| vocabulary.ids(TokenKind::Unknown).next());
        if bytes.is_none() && unknown.is_none() {
            return Err(TokenizerError::NoUnknown { model: spec.model.clone() });
        }
        Ok(Self { bytes, unknown })
    }

    /// Adds the tokens of a text that has no piece. Unknown tokens do not repeat when `again` says that one was just
    /// added.
    pub(super) fn push(&self, text: &str, again: bool, tokens: &mut Vec<TokenId>) {
        match (&self.bytes, self.unknown) {
            (Some(bytes), _) => {
                tokens.extend(text.bytes().filter_map(|byte| bytes[usize::from(byte)]));
            }
            (None, Some(unknown)) if !again => tokens.push(unknown),
            (None, _) => {}
        }
    }
}
