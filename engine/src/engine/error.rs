//! What can go wrong at the engine's door.

use crate::{
    gguf::MetadataError,
    kernels::KernelError,
    kv_cache::{KvError, SequenceId},
    model::ModelError,
    tokenizer::{TokenId, TokenizerError},
    weights::{OpenError, WeightError},
};

/// Why a model cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be mapped or is not GGUF.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// This CPU lacks the kernels that were asked for.
    #[error(transparent)]
    Kernels(#[from] KernelError),
    /// The transformer is not supported or not whole.
    #[error("cannot use the model file {file}: {source}")]
    Model {
        /// Path of the file.
        file: String,
        /// What is wrong.
        source: ModelError,
    },
    /// The tokenizer's metadata is missing or has wrong types.
    #[error("cannot use the tokenizer of the model file {file}: {source}")]
    TokenizerMetadata {
        /// Path of the file.
        file: String,
        /// What is wrong.
        source: MetadataError,
    },
    /// The tokenizer is not supported or not whole.
    #[error("cannot use the tokenizer of the model file {file}: {source}")]
    Tokenizer {
        /// Path of the file.
        file: String,
        /// What is wrong.
        source: TokenizerError,
    },
    /// Tokenizer and embeddings do not belong together.
    #[error(
        "cannot use the model file {file}: its tokenizer has {tokens} tokens, its embeddings (token_embd.weight) {rows}; \
         convert the model again"
    )]
    Vocabulary {
        /// Path of the file.
        file: String,
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Rows of the embeddings.
        rows: usize,
    },
}

/// Why a step or a sequence is refused. The engine stays usable and no sequence has changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The model has no logits.
    #[error(
        "a model of the {architecture} architecture embeds texts and does not generate; ask it for embeddings"
    )]
    NotGenerative {
        /// The architecture.
        architecture: &'static str,
    },
    /// All KV slots are taken.
    #[error(
        "all {sequences} sequences of this engine are in use; free one or create the engine with more"
    )]
    NoFreeSequence {
        /// Slots of the engine.
        sequences: usize,
    },
    /// The id was freed or was never of this engine.
    #[error("unknown sequence {id:?}: it was freed, or never belonged to this engine")]
    UnknownSequence {
        /// The id that was given.
        id: SequenceId,
    },
    /// The sequence would grow past its context.
    #[error(
        "sequence of {length} tokens cannot take {adding} more: the context holds {context_length}; \
         shorten the prompt or create the engine with a longer context"
    )]
    ContextOverflow {
        /// Tokens that the sequence holds.
        length: usize,
        /// Tokens that the item adds.
        adding: usize,
        /// Tokens that fit.
        context_length: usize,
    },
    /// The sequences that there are have taken the pages that the step needs.
    #[error(
        "the step needs {missing} pages of the KV cache more than the {available} that can be had; free a sequence, or \
         create the engine with more kv_tokens"
    )]
    OutOfPages {
        /// Pages that are missing.
        missing: usize,
        /// Pages that could be had.
        available: usize,
    },
    /// A token id is not in the vocabulary.
    #[error("token {token} is not in the vocabulary of {vocab_size} tokens")]
    UnknownToken {
        /// The id that was given.
        token: TokenId,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// An item has no tokens.
    #[error("item {index} of the step has no tokens; each item needs at least one")]
    EmptyItem {
        /// Place in the batch.
        index: usize,
    },
    /// Two items name the same sequence.
    #[error(
        "item {index} of the step names a sequence that an earlier item has; join their tokens"
    )]
    RepeatedSequence {
        /// Place of the second in the batch.
        index: usize,
    },
    /// More tokens than one step takes.
    #[error("step of {tokens} tokens; at most {limit} fit in one, split it")]
    StepTooLong {
        /// Tokens of all items.
        tokens: usize,
        /// [`MAX_STEP_TOKENS`](super::MAX_STEP_TOKENS).
        limit: usize,
    },
    /// An option cannot be met.
    #[error("{option} is {value}; it must be {range}")]
    InvalidOption {
        /// Name in [`EngineOptions`](super::EngineOptions).
        option: &'static str,
        /// The value that was given.
        value: usize,
        /// What is accepted.
        range: String,
    },
    /// The KV cache does not fit in memory.
    #[error(transparent)]
    Cache(KvError),
    /// The operating system gave no threads.
    #[error("cannot start {threads} threads: {reason}; ask for fewer")]
    Threads {
        /// Threads that were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// A tensor that was there when the model was opened is not any more.
    #[error(transparent)]
    Weight(WeightError),
}
