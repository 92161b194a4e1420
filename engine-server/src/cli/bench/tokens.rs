//! Tokens that mean nothing: speed does not depend on them, but no two sequences may share a prefix.

use realm_engine::tokenizer::TokenId;

/// An endless row of tokens below a vocabulary's size, the same in every run (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct RandomTokens {
    state: u64,
    vocabulary: u64,
}

impl RandomTokens {
    /// Starts from a fixed seed; a vocabulary has at least one token.
    pub(super) fn new(vocabulary: usize) -> Self {
        Self { state: 0x5EED, vocabulary: (vocabulary as u64).max(1) }
    }

    /// The next `count` tokens.
    pub(super) fn take(&mut self, count: usize) -> Vec<TokenId> {
        (0..count).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> TokenId {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) % self.vocabulary) as TokenId
    }
}
