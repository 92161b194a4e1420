//! The one door of the engine: opens a model, owns the KV cache and turns batches of tokens into logits.
//!
//! [`Model`] is what the file says: immutable, shared by [`Arc`](std::sync::Arc). [`Engine`] is what one step loop
//! needs: KV cache, scratch and threads; it is owned by one thread and touches neither disk nor network. Sampling,
//! templates and fairness are the caller's.

mod embed;
mod error;
mod model;
mod step;

use std::{num::NonZeroUsize, sync::Arc};

pub use self::{
    error::{EngineError, LoadError},
    model::{Model, ModelInfo, ModelOptions},
    step::{LogitsWanted, MAX_STEP_TOKENS, StepItem, StepLogits},
};
pub use crate::{
    kernels::KernelChoice,
    kv_cache::{KvType, PAGE_TOKENS, PrefixSalt, SequenceId},
    model::Task,
    ops::product::Precision,
    team::ThreadCount,
    tokenizer::TokenId,
    weights::{PackedIn, PackedState},
};
use crate::{
    kv_cache::{KvCache, KvShape},
    model::{Scratch, Step},
    team::Team,
};

/// Most threads and sequences that an engine takes.
const MAX_THREADS: usize = 1024;
const MAX_SEQUENCES: usize = 4096;

/// How much an engine may hold and use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// Threads that compute a step; at most 1024.
    pub threads: NonZeroUsize,
    /// Tokens per sequence; at most what the model was trained for.
    pub context_length: usize,
    /// Sequences that can exist at once; at most 4096.
    pub sequences: usize,
    /// How keys and values are stored.
    pub kv_type: KvType,
    /// Tokens of all sequences together, rounded up to whole pages; at least `context_length`. `None` lets every sequence
    /// fill its context.
    pub kv_tokens: Option<usize>,
}

impl EngineOptions {
    /// Options with the default storage of keys and values, and room for every sequence's whole context.
    pub fn new(threads: NonZeroUsize, context_length: usize, sequences: usize) -> Self {
        Self { threads, context_length, sequences, kv_type: KvType::default(), kv_tokens: None }
    }

    /// Pages of the KV cache.
    fn pages(&self) -> Result<usize, EngineError> {
        match self.kv_tokens {
            None => Ok(KvShape::pages_for(self.context_length, self.sequences)),
            Some(tokens) if tokens < self.context_length => Err(EngineError::InvalidOption {
                option: "kv_tokens",
                value: tokens,
                range: format!("{} (context_length) or more", self.context_length),
            }),
            Some(tokens) => Ok(tokens.div_ceil(PAGE_TOKENS)),
        }
    }
}

/// KV cache, scratch and threads for one step loop.
#[derive(Debug)]
pub struct Engine {
    model: Arc<Model>,
    cache: KvCache,
    team: Team,
    /// How many threads the team should have, if that may change.
    threads: Option<ThreadCount>,
    step: Step,
    scratch: Scratch,
    logits: Vec<f32>,
    /// Start and end of each item's rows in `logits`.
    spans: Vec<(usize, usize)>,
}

impl Engine {
    /// Reserves the KV cache and starts the threads.
    pub fn new(model: Arc<Model>, options: EngineOptions) -> Result<Engine, EngineError> {
        let config = model.transformer().config();
        let threads = options.threads.get();
        in_range(
            "context_length",
            options.context_length,
            config.context_length,
            " (what the model was trained for)",
        )?;
        in_range("sequences", options.sequences, MAX_SEQUENCES, "")?;
        in_range("threads", threads, MAX_THREADS, "")?;
        let cache = KvCache::new(KvShape {
            layers: config.kv_layers(),
            heads: config.kv_heads,
            key_dim: config.head_dim,
            value_dim: config.head_dim,
            pages: options.pages()?,
            context_length: options.context_length,
            sequences: options.sequences,
            kv_type: options.kv_type,
        });
        let team = Team::new(options.threads)
            .map_err(|error| EngineError::Threads { threads, reason: error.to_string() })?;
        Ok(Engine {
            cache: cache.map_err(EngineError::Cache)?,
            team,
            threads: None,
            step: Step::default(),
            scratch: Scratch::default(),
            logits: Vec::new(),
            spans: Vec::new(),
            model,
        })
    }

    /// Has as many threads as `threads` says at each step from now on, within what an engine takes.
    pub fn follow(&mut self, threads: ThreadCount) {
        self.threads = Some(threads);
    }

    /// The model that the engine runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Tokens that each sequence can hold.
    pub fn context_length(&self) -> usize {
        self.cache.shape().context_length
    }

    /// Sequences that can exist at once.
    pub fn sequences(&self) -> usize {
        self.cache.shape().sequences
    }

    /// Bytes reserved for keys and values.
    pub fn kv_bytes(&self) -> usize {
        self.cache.shape().bytes().unwrap_or(usize::MAX)
    }

    /// Bytes of keys and values of one token.
    pub fn kv_token_bytes(&self) -> usize {
        self.cache.shape().token_bytes().unwrap_or(usize::MAX)
    }

    /// Pages of [`PAGE_TOKENS`] tokens that all sequences share.
    pub fn total_pages(&self) -> usize {
        self.cache.shape().pages
    }

    /// Pages that sequences can still take: those that are free, and those that are only kept for later prompts.
    pub fn available_pages(&self) -> usize {
        self.cache.available_pages()
    }

    /// Pages that the sequence holds, shared ones included; 0 when it is freed.
    pub fn pages_held(&self, id: SequenceId) -> usize {
        self.cache.pages_held(id).unwrap_or(0)
    }

    /// Takes a free slot; the new sequence is empty and shares nothing.
    pub fn new_sequence(&mut self) -> Result<SequenceId, EngineError> {
        self.open(None)
    }

    /// Takes a free slot for a sequence that shares pages with others of its salt, and takes what they have computed of
    /// `tokens`, all but the last at most. Returns how many tokens that is: the caller computes the others. It is found
    /// while its owner goes on and after it has ended, until the memory is needed.
    pub fn new_sequence_with_prefix(
        &mut self,
        salt: PrefixSalt,
        tokens: &[TokenId],
    ) -> Result<(SequenceId, usize), EngineError> {
        let id = self.open(Some(salt))?;
        Ok((id, self.reuse_prefix(id, tokens)))
    }

    /// Takes what others of the sequence's salt have computed since of `tokens`, which go on from what it holds. Returns
    /// how many tokens it holds then.
    pub fn reuse_prefix(&mut self, id: SequenceId, tokens: &[TokenId]) -> usize {
        self.cache.reuse(id, tokens)
    }

    /// Pages of the beginning of `tokens` that sequences of the salt hold now: a new one would need no room for them.
    pub fn shared_pages(&self, salt: &PrefixSalt, tokens: &[TokenId]) -> usize {
        self.cache.shared_pages(salt, tokens)
    }

    /// A new sequence that holds the tokens of another. They share pages until one of them writes.
    pub fn fork(&mut self, id: SequenceId) -> Result<SequenceId, EngineError> {
        self.cache.len(id).ok_or(EngineError::UnknownSequence { id })?;
        let sequences = self.cache.shape().sequences;
        self.cache.fork(id).ok_or(EngineError::NoFreeSequence { sequences })
    }

    /// Makes a sequence forget all its tokens but the first `length`, for example drafts that were not accepted. Others
    /// that hold the same pages keep them.
    pub fn truncate(&mut self, id: SequenceId, length: usize) -> Result<(), EngineError> {
        self.cache.truncate(id, length).map_err(step::refusal)
    }

    /// Ends a sequence; an id that is already freed is ignored.
    pub fn free_sequence(&mut self, id: SequenceId) {
        self.cache.close(id);
    }

    /// Tokens that the sequence holds; 0 when it is freed.
    pub fn sequence_len(&self, id: SequenceId) -> usize {
        self.cache.len(id).unwrap_or(0)
    }

    /// One step over several sequences: prefill pieces and decode tokens mixed. Rows of logits come back in item order
    /// for items that want them. On an error no sequence has changed.
    pub fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        self.resize_team();
        let Self { model, cache, team, step, scratch, logits, spans, .. } = self;
        let transformer = model.decoder()?;
        step::plan(batch, transformer.vocab_size(), cache, step, spans)?;
        if batch.is_empty() {
            logits.clear();
        } else {
            transformer
                .forward(model.products(team), model.weights(), cache, step, scratch, logits)
                .map_err(EngineError::Weight)?;
        }
        for item in batch {
            cache.advance(item.sequence, item.tokens);
        }
        Ok(StepLogits::new(logits, spans))
    }

    /// A vector for each text: the pooled states of its tokens, not scaled to a length of its own. Texts use free
    /// sequences while they are computed, as many at once as fit, and leave none behind. Any model embeds; encoders
    /// were trained for it.
    pub fn embed(&mut self, texts: &[&[TokenId]]) -> Result<Vec<Vec<f32>>, EngineError> {
        embed::check(texts, self.model.transformer().vocab_size(), self.context_length())?;
        self.resize_team();
        let mut vectors = Vec::with_capacity(texts.len());
        while vectors.len() < texts.len() {
            let Self { model, cache, team, step, scratch, .. } = self;
            embed::plan(&texts[vectors.len()..], cache, step)?;
            let products = model.products(team);
            let embedded =
                model.transformer().embed(products, model.weights(), cache, step, scratch);
            step.runs.iter().for_each(|run| cache.close(run.sequence));
            vectors.extend(embedded.map_err(EngineError::Weight)?);
        }
        Ok(vectors)
    }
}

impl Engine {
    fn resize_team(&mut self) {
        let wanted = self.threads.as_ref().map(|threads| threads.get().get().min(MAX_THREADS));
        let changed = wanted.filter(|wanted| *wanted != self.team.threads());
        if let Some(wanted) = changed.and_then(NonZeroUsize::new) {
            self.team.resize(wanted);
        }
    }

    fn open(&mut self, salt: Option<PrefixSalt>) -> Result<SequenceId, EngineError> {
        let sequences = self.cache.shape().sequences;
        self.cache.open(salt).ok_or(EngineError::NoFreeSequence { sequences })
    }
}

fn in_range(
    option: &'static str,
    value: usize,
    limit: usize,
    why: &str,
) -> Result<(), EngineError> {
    if (1..=limit).contains(&value) {
        return Ok(());
    }
    Err(EngineError::InvalidOption { option, value, range: format!("1 to {limit}{why}") })
}
