//! Guesses from the text itself: what followed the last few tokens when they stood there before. No second model.
//!
//! An index from n-grams to the place after their newest occurrence, kept token by token: each token costs a constant
//! number of table writes, a guess a constant number of reads. The table holds places and no tokens: whether a slot is
//! about an n-gram is seen by comparing with the text. It grows with the text up to a bound; when it is full, newer
//! n-grams take the slots of older ones.

use crate::tokenizer::TokenId;

/// Fewest last tokens that must have stood there before.
pub const SHORTEST_MATCH: usize = 2;
/// Most last tokens that are compared; a longer match predicts better.
pub const LONGEST_MATCH: usize = 5;

/// Tokens that one index remembers; after as many it guesses no more. Bounds history to 4 MiB.
const MAX_TOKENS: usize = 1 << 20;
/// Slots of a new table, and of the largest (1 MiB).
const FIRST_SLOTS: usize = 1 << 9;
const MAX_SLOTS: usize = 1 << 18;
/// Slots for each token: an n-gram of each length, twice over so that few collide.
const SLOTS_PER_TOKEN: usize = 2 * (LONGEST_MATCH - SHORTEST_MATCH + 1);
/// Slots that an n-gram may stand in, from that of its hash on.
const PROBES: usize = 32;
/// A slot that holds nothing: no n-gram is followed by the token at place 0.
const EMPTY: u32 = 0;
/// Bits of a slot that hold the length of its n-gram, above [`SHORTEST_MATCH`]; the others hold the place.
const LENGTH_BITS: u32 = 2;

/// The tokens of one sequence, indexed by what came before them.
#[derive(Debug, Clone)]
pub struct PromptLookup {
    tokens: Vec<TokenId>,
    /// Place of the token after the newest such n-gram, and the n-gram's length.
    table: Vec<u32>,
}

/// A place in the text that looks like its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Last tokens that are the same there; from [`SHORTEST_MATCH`] to [`LONGEST_MATCH`].
    pub length: usize,
    /// Place of the token that followed there.
    start: usize,
}

impl Default for PromptLookup {
    fn default() -> Self {
        Self::new()
    }
}

impl PromptLookup {
    /// An index of nothing.
    pub fn new() -> Self {
        Self { tokens: Vec::new(), table: vec![EMPTY; FIRST_SLOTS] }
    }

    /// Adds tokens at the end of the text.
    pub fn extend(&mut self, tokens: &[TokenId]) {
        for &token in tokens {
            self.push(token);
        }
    }

    /// Adds a token at the end of the text.
    pub fn push(&mut self, token: TokenId) {
        if self.tokens.len() == MAX_TOKENS {
            return;
        }
        // The n-grams before this token are entered only now, so that the end of the text never finds itself.
        self.enter(self.tokens.len());
        self.tokens.push(token);
        if self.tokens.len() * SLOTS_PER_TOKEN > self.table.len() && self.table.len() < MAX_SLOTS {
            self.grow();
        }
    }

    /// The tokens so far.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// The newest place with the longest match, if the last tokens stood there before.
    pub fn find(&self) -> Option<Match> {
        if self.tokens.len() == MAX_TOKENS {
            return None;
        }
        (SHORTEST_MATCH..=LONGEST_MATCH).rev().find_map(|length| {
            let end = self.tokens.get(self.tokens.len().checked_sub(length)?..)?;
            let start = self.place(self.table[self.slot(end)?], end)?;
            Some(Match { length, start })
        })
    }

    /// The `count` tokens that followed at the match. Where they reach the end of the text they go on with themselves,
    /// as a text that repeats does.
    pub fn draft(&self, found: Match, count: usize) -> Vec<TokenId> {
        let period = self.tokens.len().saturating_sub(found.start).max(1);
        let followed = self.tokens.get(found.start..).unwrap_or_default();
        (0..count).filter_map(|index| followed.get(index % period).copied()).collect()
    }

    /// Notes that the token at `place` follows the n-grams before it.
    fn enter(&mut self, place: usize) {
        for length in SHORTEST_MATCH..=LONGEST_MATCH.min(place) {
            let n_gram = &self.tokens[place - length..place];
            let slot = self.slot(n_gram).unwrap_or_else(|| self.probes(n_gram).start);
            let slot = slot & (self.table.len() - 1);
            self.table[slot] = (place << LENGTH_BITS | (length - SHORTEST_MATCH)) as u32;
        }
    }

    /// Doubles the table until it fits, and enters everything again: a constant cost per token over the whole text.
    fn grow(&mut self) {
        let slots = (self.tokens.len() * SLOTS_PER_TOKEN * 2).next_power_of_two().min(MAX_SLOTS);
        self.table.clear();
        self.table.resize(slots, EMPTY);
        for place in 0..self.tokens.len() {
            self.enter(place);
        }
    }

    /// The slot that holds the n-gram, or an empty one for it; `None` when all its slots hold others.
    fn slot(&self, n_gram: &[TokenId]) -> Option<usize> {
        self.probes(n_gram).map(|slot| slot & (self.table.len() - 1)).find(|&slot| {
            self.table[slot] == EMPTY || self.place(self.table[slot], n_gram).is_some()
        })
    }

    /// The place that an entry of the table names, if the entry is about this n-gram.
    fn place(&self, entry: u32, n_gram: &[TokenId]) -> Option<usize> {
        let length = (entry & ((1 << LENGTH_BITS) - 1)) as usize + SHORTEST_MATCH;
        let place = (entry >> LENGTH_BITS) as usize;
        let there = self.tokens.get(place.checked_sub(length)?..place)?;
        (entry != EMPTY && there == n_gram).then_some(place)
    }

    /// Where the n-gram may stand, to be taken modulo the table.
    fn probes(&self, n_gram: &[TokenId]) -> std::ops::Range<usize> {
        // Multiplicative hashing (Knuth); the length is mixed in because one table serves all lengths.
        const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
        let mix = |hash: u64, number: u64| (hash.rotate_left(5) ^ number).wrapping_mul(FACTOR);
        let hash =
            n_gram.iter().fold(n_gram.len() as u64, |hash, &token| mix(hash, u64::from(token)));
        let first = (hash >> 32) as usize & (self.table.len() - 1);
        first..first + PROBES
    }
}
