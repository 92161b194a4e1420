//! Finds the text of special tokens in a prompt: leftmost first, then longest.

use std::collections::HashMap;

use super::{
    token::{TokenId, TokenKind},
    vocabulary::Vocabulary,
};

/// Special tokens with a longer text are never found in text; bounds the work per position.
const MAX_SPECIAL_BYTES: usize = 256;

/// The special tokens of a vocabulary, by their text.
#[derive(Debug, Default)]
pub(super) struct SpecialTexts {
    tokens: HashMap<Vec<u8>, Special>,
    /// Lengths that occur, longest first, by first byte.
    lengths: HashMap<u8, Vec<usize>>,
}

#[derive(Debug, Clone, Copy)]
struct Special {
    id: TokenId,
    /// Found also in text that is not trusted: it steers nothing.
    is_text: bool,
}

/// A special token in a text.
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) id: TokenId,
}

impl SpecialTexts {
    pub(super) fn new(vocabulary: &Vocabulary) -> Self {
        let mut texts = Self::default();
        for id in 0..vocabulary.len() as TokenId {
            let is_text = match vocabulary.kind(id) {
                Some(TokenKind::UserDefined) => true,
                Some(TokenKind::Control | TokenKind::Unknown) => false,
                _ => continue,
            };
            texts.insert(vocabulary.bytes(id).unwrap_or_default(), Special { id, is_text });
        }
        texts
    }

    fn insert(&mut self, text: &[u8], special: Special) {
        let Some(&first) = text.first().filter(|_| text.len() <= MAX_SPECIAL_BYTES) else { return };
        self.tokens.entry(text.to_vec()).or_insert(special);
        let lengths = self.lengths.entry(first).or_default();
        if let Err(place) = lengths.binary_search_by(|length| text.len().cmp(length)) {
            lengths.insert(place, text.len());
        }
    }

    /// The first special token at or after `start`; only those that are text when `parse` is false.
    pub(super) fn find(&self, text: &str, start: usize, parse: bool) -> Option<Found> {
        let bytes = text.as_bytes();
        (start..bytes.len()).find_map(|at| {
            let lengths = self.lengths.get(&bytes[at])?;
            lengths.iter().find_map(|length| {
                let special = self.tokens.get(bytes.get(at..at + length)?)?;
                (parse || special.is_text).then_some(Found {
                    start: at,
                    end: at + length,
                    id: special.id,
                })
            })
        })
    }
}
