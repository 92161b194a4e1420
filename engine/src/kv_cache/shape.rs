//! What a cache has to hold, and how much memory that takes.

use super::kv_type::KvType;

/// Tokens of one page.
pub const PAGE_TOKENS: usize = 32;

/// What a cache has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    /// Transformer blocks.
    pub layers: usize,
    /// Heads of keys and values.
    pub heads: usize,
    /// Numbers of a head of keys.
    pub key_dim: usize,
    /// Numbers of a head of values.
    pub value_dim: usize,
    /// Tokens of one sequence.
    pub context_length: usize,
    /// Sequences at once.
    pub sequences: usize,
    /// Pages that all sequences share.
    pub pages: usize,
    /// How numbers are stored.
    pub kv_type: KvType,
}

impl KvShape {
    /// Pages with which every sequence can fill its context.
    pub fn pages_for(context_length: usize, sequences: usize) -> usize {
        context_length.div_ceil(PAGE_TOKENS).saturating_mul(sequences)
    }

    /// Bytes of one token in all layers; `None` past the address space.
    pub fn token_bytes(&self) -> Option<usize> {
        let head = self.kv_type.head_bytes(self.key_dim) + self.kv_type.head_bytes(self.value_dim);
        self.layers.checked_mul(self.heads)?.checked_mul(head)
    }

    /// Bytes of keys and values; `None` past the address space.
    pub fn bytes(&self) -> Option<usize> {
        self.pages.checked_mul(PAGE_TOKENS)?.checked_mul(self.token_bytes()?)
    }
}
