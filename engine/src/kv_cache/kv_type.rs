//! The storage types of keys and values.

/// Numbers that share a scale in [`KvType::Q8_0`]. The last block of a head is shorter when the head's size is no multiple.
pub const KV_BLOCK: usize = 32;

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KvType {
    /// IEEE half precision: half the memory, the default.
    #[default]
    F16,
    /// Single precision.
    F32,
    /// Eight bits and a half-precision scale for each [`KV_BLOCK`] numbers of a head, as ggml's format of that name.
    Q8_0,
}

impl KvType {
    /// Bytes of one head of one token.
    pub fn head_bytes(self, head_dim: usize) -> usize {
        match self {
            Self::F16 => 2 * head_dim,
            Self::F32 => 4 * head_dim,
            Self::Q8_0 => head_dim + 2 * head_dim.div_ceil(KV_BLOCK),
        }
    }
}
