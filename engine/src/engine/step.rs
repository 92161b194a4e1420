//! What a step is asked for and what it gives back; checks a batch before anything changes.

use super::error::EngineError;
use crate::{
    kv_cache::{KvCache, KvError, SequenceId},
    model::Step,
    ops::attention::Run,
    tokenizer::TokenId,
};

/// Tokens that one step takes over all its items.
pub const MAX_STEP_TOKENS: usize = 8192;

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
    spans: &'a [(usize, usize)],
}

impl<'a> StepLogits<'a> {
    /// `spans` are start and end in `rows`, one pair an item.
    pub(super) fn new(rows: &'a [f32], spans: &'a [(usize, usize)]) -> Self {
        Self { rows, spans }
    }

    /// The rows of the batch's item `index`, `rows x vocab_size`; empty when it wanted none or does not exist.
    pub fn item(&self, index: usize) -> &[f32] {
        self.spans
            .get(index)
            .and_then(|&(start, end)| self.rows.get(start..end))
            .unwrap_or_default()
    }
}

/// Checks a batch, makes room in the cache, and lays out the step and the rows that come back.
pub(super) fn plan(
    batch: &[StepItem<'_>],
    vocab_size: usize,
    cache: &mut KvCache,
    step: &mut Step,
    spans: &mut Vec<(usize, usize)>,
) -> Result<(), EngineError> {
    check(batch, vocab_size)?;
    step.tokens.clear();
    step.runs.clear();
    step.wanted.clear();
    spans.clear();
    let positions = reserve(cache, batch)?;
    for (item, position) in batch.iter().zip(positions) {
        let row = step.tokens.len();
        step.runs.push(Run { sequence: item.sequence, row, position, tokens: item.tokens.len() });
        step.tokens.extend_from_slice(item.tokens);
        let first = match item.logits {
            LogitsWanted::None => step.tokens.len(),
            LogitsWanted::Last => step.tokens.len() - 1,
            LogitsWanted::All => row,
        };
        let start = step.wanted.len() * vocab_size;
        step.wanted.extend(first..step.tokens.len());
        spans.push((start, step.wanted.len() * vocab_size));
    }
    Ok(())
}

/// What can be said of a batch without the cache.
fn check(batch: &[StepItem<'_>], vocab_size: usize) -> Result<(), EngineError> {
    let tokens = batch.iter().map(|item| item.tokens.len()).sum();
    if tokens > MAX_STEP_TOKENS {
        return Err(EngineError::StepTooLong { tokens, limit: MAX_STEP_TOKENS });
    }
    for (index, item) in batch.iter().enumerate() {
        if item.tokens.is_empty() {
            return Err(EngineError::EmptyItem { index });
        }
        if let Some(&token) = item.tokens.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(EngineError::UnknownToken { token, vocab_size });
        }
        if batch[..index].iter().any(|earlier| earlier.sequence == item.sequence) {
            return Err(EngineError::RepeatedSequence { index });
        }
    }
    Ok(())
}

/// Makes room for all items; returns where the first token of each stands.
fn reserve(cache: &mut KvCache, batch: &[StepItem<'_>]) -> Result<Vec<usize>, EngineError> {
    let wants: Vec<_> = batch.iter().map(|item| (item.sequence, item.tokens.len())).collect();
    cache.reserve(&wants).map_err(refusal)?;
    let place = |item: &StepItem<'_>| {
        cache.len(item.sequence).ok_or(EngineError::UnknownSequence { id: item.sequence })
    };
    batch.iter().map(place).collect()
}

/// What a refusal of the cache means at the engine's door.
pub(super) fn refusal(error: KvError) -> EngineError {
    match error {
        KvError::UnknownSequence { id } => EngineError::UnknownSequence { id },
        KvError::Full { length, adding, context_length } => {
            EngineError::ContextOverflow { length, adding, context_length }
        }
        KvError::OutOfPages { needed, available } => {
            EngineError::OutOfPages { missing: needed - available, available }
        }
        KvError::OutOfMemory { .. } => EngineError::Cache(error),
    }
}
