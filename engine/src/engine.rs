//! The one door of the engine: opens a model, owns the KV cache and turns batches of tokens into logits.
//!
//! [`Model`] is what the file says: immutable, shared by [`Arc`]. [`Engine`] is what one step loop needs: KV cache,
//! scratch and threads; it is owned by one thread and moves nothing to disk or network. Sampling, templates and
//! fairness are the caller's.

use std::{num::NonZeroUsize, path::Path, sync::Arc};

use crate::{chat_template::ChatTemplate, kernels::KernelChoice, tokenizer::Tokenizer};

pub use crate::{kv_cache::KvType, tokenizer::TokenId};

/// How a model is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// Which inner loops run; the default takes the best that this CPU has.
    pub kernels: KernelChoice,
}

/// What a model file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// `general.name`, or the file's stem.
    pub name: String,
    /// `general.architecture`, for example `llama`.
    pub architecture: String,
    /// The format that most of the weights have, for example `Q4_1`.
    pub quantization: String,
    /// Number of weights.
    pub parameters: u64,
    /// Tokens that the model was trained to hold in one sequence.
    pub context_length: usize,
    /// Number of tokens in the vocabulary: the length of a row of logits.
    pub vocab_size: usize,
    /// Size of the file.
    pub file_bytes: u64,
}

/// Why a model cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not yet written.
    #[error("loading is not written yet")]
    Unwritten,
}

/// An open model: weights mapped from the file, tokenizer and chat template.
#[derive(Debug)]
pub struct Model {
    info: ModelInfo,
    tokenizer: Tokenizer,
    chat_template: Option<ChatTemplate>,
}

impl Model {
    /// Maps the GGUF file at `path` and checks everything that a step relies on.
    pub fn open(_path: &Path, _options: &ModelOptions) -> Result<Arc<Model>, LoadError> {
        Err(LoadError::Unwritten)
    }

    /// What the file says about itself.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The file's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The file's chat template; `None` when it has none.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.chat_template.as_ref()
    }
}

/// How much an engine may hold and use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// Threads that compute a step.
    pub threads: NonZeroUsize,
    /// Tokens per sequence; at most what the model was trained for.
    pub context_length: usize,
    /// Sequences that can exist at once.
    pub sequences: usize,
    /// How keys and values are stored.
    pub kv_type: KvType,
}

impl EngineOptions {
    /// Options with the default storage of keys and values.
    pub fn new(threads: NonZeroUsize, context_length: usize, sequences: usize) -> Self {
        Self { threads, context_length, sequences, kv_type: KvType::default() }
    }
}

/// Names a live sequence of one engine. A freed id is never valid again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceId {
    slot: u32,
    generation: u32,
}

/// Which rows of logits an item of a step wants back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogitsWanted {
    /// None: a piece of a prompt that goes on.
    None,
    /// The row after the item's last token.
    Last,
    /// A row after each token of the item.
    All,
}

/// The tokens that one sequence adds in a step.
#[derive(Debug, Clone, Copy)]
pub struct StepItem<'a> {
    /// The sequence that grows.
    pub sequence: SequenceId,
    /// The tokens that it grows by; at least one.
    pub tokens: &'a [TokenId],
    /// Which rows of logits come back.
    pub logits: LogitsWanted,
}

/// The logits of a step, in item order.
#[derive(Debug)]
pub struct StepLogits<'a> {
    rows: &'a [f32],
    /// Start and end in `rows`, one pair per item.
    spans: &'a [(usize, usize)],
}

impl StepLogits<'_> {
    /// The rows of the batch's item `index`, `rows x vocab_size`; empty when it wanted none or does not exist.
    pub fn item(&self, index: usize) -> &[f32] {
        self.spans.get(index).and_then(|&(start, end)| self.rows.get(start..end)).unwrap_or_default()
    }
}

/// Why a step or a sequence is refused. The engine stays usable and no sequence has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// All KV slots are taken.
    #[error("all {sequences} sequences of this engine are in use; free one or create the engine with more")]
    NoFreeSequence {
        /// Slots of the engine.
        sequences: usize,
    },
    /// The id was freed or belongs to another engine.
    #[error("unknown sequence {id:?}: it was freed or belongs to another engine")]
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
    #[error("item {index} of the step names a sequence that an earlier item has; join their tokens")]
    RepeatedSequence {
        /// Place of the second in the batch.
        index: usize,
    },
    /// More tokens than one step takes.
    #[error("step of {tokens} tokens; at most {limit} fit in one, split it")]
    StepTooLong {
        /// Tokens of all items.
        tokens: usize,
        /// [`MAX_STEP_TOKENS`].
        limit: usize,
    },
    /// An option cannot be met.
    #[error("{option} is {value}; it must be {range}")]
    InvalidOption {
        /// Name in [`EngineOptions`].
        option: &'static str,
        /// The value that was given.
        value: usize,
        /// What is accepted.
        range: String,
    },
    /// The operating system gave no threads.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// Threads that were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
}

/// Tokens that one step takes over all its items.
pub const MAX_STEP_TOKENS: usize = 8192;

/// KV cache, scratch and threads for one step loop.
#[derive(Debug)]
pub struct Engine {
    model: Arc<Model>,
    options: EngineOptions,
}

impl Engine {
    /// Reserves the KV cache and starts the threads.
    pub fn new(model: Arc<Model>, options: EngineOptions) -> Result<Engine, EngineError> {
        Ok(Engine { model, options })
    }

    /// The model that the engine runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Tokens that each sequence can hold.
    pub fn context_length(&self) -> usize {
        self.options.context_length
    }

    /// Bytes reserved for keys and values.
    pub fn kv_bytes(&self) -> usize {
        0
    }

    /// Takes a free slot; the new sequence is empty.
    pub fn new_sequence(&mut self) -> Result<SequenceId, EngineError> {
        Err(EngineError::NoFreeSequence { sequences: self.options.sequences })
    }

    /// Ends a sequence; an id that is already freed is ignored.
    pub fn free_sequence(&mut self, _id: SequenceId) {}

    /// Tokens that the sequence holds; 0 when it is freed.
    pub fn sequence_len(&self, _id: SequenceId) -> usize {
        0
    }

    /// One step over several sequences: prefill pieces and decode tokens mixed. Rows of logits come back in item order
    /// for items that want them. On an error no sequence has changed.
    pub fn step(&mut self, _batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        Ok(StepLogits { rows: &[], spans: &[] })
    }
}
