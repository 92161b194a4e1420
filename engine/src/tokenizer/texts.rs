//! Tokens by their literal text: the longest that stands at a place.

use std::collections::HashMap;

use super::token::TokenId;

/// Tokens with a longer text are never found in text; bounds the work for each place.
const MAX_TEXT_BYTES: usize = 256;

/// Tokens by their literal text.
#[derive(Debug, Default)]
pub(super) struct Texts {
    tokens: HashMap<Vec<u8>, TokenId>,
    /// Lengths that occur, longest first, by first byte.
    lengths: HashMap<u8, Vec<usize>>,
}

impl Texts {
    /// Adds a token; the first one with a text stays.
    pub(super) fn insert(&mut self, text: &[u8], id: TokenId) {
        let Some(&first) = text.first().filter(|_| text.len() <= MAX_TEXT_BYTES) else { return };
        self.tokens.entry(text.to_vec()).or_insert(id);
        let lengths = self.lengths.entry(first).or_default();
        if let Err(place) = lengths.binary_search_by(|length| text.len().cmp(length)) {
            lengths.insert(place, text.len());
        }
    }

    /// The longest token that `bytes` begins with: its length and id.
    pub(super) fn longest(&self, bytes: &[u8]) -> Option<(usize, TokenId)> {
        let mut lengths = self.lengths.get(bytes.first()?)?.iter();
        lengths.find_map(|&length| Some((length, *self.tokens.get(bytes.get(..length)?)?)))
    }
}
