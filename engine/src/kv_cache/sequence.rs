//! What a cache knows of one sequence.

use super::{prefix::PrefixSalt, shape::PAGE_TOKENS};
use crate::tokenizer::TokenId;

/// Names a live sequence of one cache. A freed id is never valid again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// A place for a sequence. All full pages of a sequence with a salt are in the index.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) live: bool,
    pub(super) pages: Vec<u32>,
    pub(super) tokens: Vec<TokenId>,
    /// With whom it shares; `None` shares with nobody.
    pub(super) salt: Option<PrefixSalt>,
}

impl Slot {
    pub(super) fn is(&self, id: SequenceId) -> bool {
        self.live && self.generation == id.generation
    }

    /// The tokens of a full page.
    pub(super) fn page_tokens(&self, page: usize) -> Option<&[TokenId; PAGE_TOKENS]> {
        self.tokens.as_chunks().0.get(page)
    }

    /// The page that the next token goes to, when it holds tokens already.
    pub(super) fn begun_page(&self) -> Option<(usize, u32)> {
        let at = self.tokens.len() / PAGE_TOKENS;
        let begun = !self.tokens.len().is_multiple_of(PAGE_TOKENS);
        self.pages.get(at).filter(|_| begun).map(|&page| (at, page))
    }

    /// Pages beyond those it has, for `adding` tokens more.
    pub(super) fn missing_pages(&self, adding: usize) -> usize {
        (self.tokens.len() + adding).div_ceil(PAGE_TOKENS).saturating_sub(self.pages.len())
    }
}
