//! The tokens that may come next, as bits.

use llguidance::toktrie::SimpleVob;
use realm_engine::engine::TokenId;

/// The tokens that may come next.
#[derive(Debug, Clone)]
pub struct Mask(SimpleVob);

impl Mask {
    pub(super) fn new(bits: SimpleVob) -> Self {
        Self(bits)
    }

    /// All tokens of a vocabulary but these.
    pub(super) fn all_but(vocab_size: usize, refused: &[TokenId]) -> Self {
        let mut bits = SimpleVob::alloc_ones(vocab_size);
        for &token in refused {
            bits.disallow_token(token);
        }
        Self(bits)
    }

    /// A bit for each token, 32 to a word, lowest first.
    pub fn words(&self) -> &[u32] {
        self.0.as_slice()
    }

    /// Whether the token may come next.
    pub fn allows(&self, token: TokenId) -> bool {
        (token as usize) < self.0.len() && self.0.is_allowed(token)
    }

    /// How many tokens may come next.
    pub fn count(&self) -> usize {
        self.0.num_set()
    }
}
