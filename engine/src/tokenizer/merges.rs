//! The merge rules of byte-level BPE: which pairs of symbols join, by the order of the file.

use std::collections::HashMap;

use super::joiner::{Join, Part, Rules, Symbol};

/// The merge rules of a vocabulary.
#[derive(Debug, Default)]
pub(super) struct Merges {
    rules: HashMap<(Symbol, Symbol), Join>,
}

impl Merges {
    /// Adds the rule of the next rank; the first rule for a pair stays.
    pub(super) fn push(&mut self, left: Symbol, right: Symbol, symbol: Symbol) {
        let rank = self.rules.len() as u32;
        self.rules.entry((left, right)).or_insert(Join { rank, symbol });
    }
}

impl Rules for Merges {
    fn join(&self, left: Part, right: Part) -> Option<Join> {
        self.rules.get(&(left.symbol, right.symbol)).copied()
    }
}
