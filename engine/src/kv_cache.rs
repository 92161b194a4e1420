//! Keys and values of live sequences.

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KvType {
    /// IEEE half precision: half the memory, the default.
    #[default]
    F16,
    /// Single precision.
    F32,
}
