//! Finds the text of special tokens in a prompt: leftmost first, then longest.

use super::{
    texts::Texts,
    token::{TokenId, TokenKind},
    vocabulary::Vocabulary,
};

/// The special tokens of a vocabulary, by their text.
#[derive(Debug, Default)]
pub(super) struct SpecialTexts {
    /// Those that are found in any text, since they steer nothing.
    literal: Texts,
    /// Those and the ones that steer.
    all: Texts,
}

/// A special token in a text.
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) id: TokenId,
}

impl SpecialTexts {
    /// `literals`: whether user-defined tokens are cut out here, and not found by the encoder in its own way.
    pub(super) fn new(vocabulary: &Vocabulary, literals: bool) -> Self {
        let mut texts = Self::default();
        for id in 0..vocabulary.len() as TokenId {
            let text = vocabulary.bytes(id).unwrap_or_default();
            match vocabulary.kind(id) {
                Some(TokenKind::UserDefined) if literals => {
                    texts.literal.insert(text, id);
                    texts.all.insert(text, id);
                }
                Some(TokenKind::Control | TokenKind::Unknown) => texts.all.insert(text, id),
                _ => {}
            }
        }
        texts
    }

    /// The first special token at or after `start`; only those that steer nothing when `parse` is false.
    pub(super) fn find(&self, text: &str, start: usize, parse: bool) -> Option<Found> {
        let texts = if parse { &self.all } else { &self.literal };
        let bytes = text.as_bytes();
        (start..bytes.len()).find_map(|at| {
            let (length, id) = texts.longest(&bytes[at..])?;
            Some(Found { start: at, end: at + length, id })
        })
    }
}
