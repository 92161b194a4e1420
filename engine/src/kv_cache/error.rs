//! Why a cache refuses.

use super::sequence::SequenceId;

/// Why a cache refuses. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The operating system has not that much memory.
    #[error(
        "KV cache needs {bytes} bytes and the system does not give them; use fewer tokens, sequences or a shorter context"
    )]
    OutOfMemory {
        /// Bytes that were asked for; `usize::MAX` past the address space.
        bytes: usize,
    },
    /// The id was freed or belongs to another cache.
    #[error("unknown sequence {id:?}")]
    UnknownSequence {
        /// The id.
        id: SequenceId,
    },
    /// The sequence would grow past its context.
    #[error("{length} tokens and {adding} more are over the context of {context_length}")]
    Full {
        /// Tokens that the sequence holds.
        length: usize,
        /// Tokens that were to be added.
        adding: usize,
        /// Tokens that fit.
        context_length: usize,
    },
    /// The pool has not that many pages now.
    #[error("{needed} pages are needed and {available} can be had")]
    OutOfPages {
        /// Pages that were to be taken.
        needed: usize,
        /// Pages that are free, or kept for later prompts only.
        available: usize,
    },
}
