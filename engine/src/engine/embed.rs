//! Lays out texts that are to be embedded: whole, each in a sequence of its own.

use super::{
    error::EngineError,
    step::{MAX_STEP_TOKENS, refusal},
};
use crate::{kv_cache::KvCache, model::Step, ops::attention::Run, tokenizer::TokenId};

/// What can be said of texts without the cache.
pub(super) fn check(
    texts: &[&[TokenId]],
    vocab_size: usize,
    context_length: usize,
) -> Result<(), EngineError> {
    for (index, text) in texts.iter().enumerate() {
        if text.is_empty() {
            return Err(EngineError::EmptyItem { index });
        }
        if text.len() > context_length {
            let adding = text.len();
            return Err(EngineError::ContextOverflow { length: 0, adding, context_length });
        }
        if text.len() > MAX_STEP_TOKENS {
            let (tokens, limit) = (text.len(), MAX_STEP_TOKENS);
            return Err(EngineError::StepTooLong { tokens, limit });
        }
        if let Some(&token) = text.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(EngineError::UnknownToken { token, vocab_size });
        }
    }
    Ok(())
}

/// Opens sequences for as many of the first texts as fit in one step and in what the cache has free; at least one, or
/// an error.
pub(super) fn plan(
    texts: &[&[TokenId]],
    cache: &mut KvCache,
    step: &mut Step,
) -> Result<(), EngineError> {
    step.tokens.clear();
    step.runs.clear();
    for text in texts {
        if step.tokens.len() + text.len() > MAX_STEP_TOKENS {
            break;
        }
        match open(text, cache, step.tokens.len()) {
            Ok(run) => step.runs.push(run),
            Err(error) if step.runs.is_empty() => return Err(error),
            Err(_) => break,
        }
        step.tokens.extend_from_slice(text);
    }
    Ok(())
}

/// A new sequence with room for the text.
fn open(text: &[TokenId], cache: &mut KvCache, row: usize) -> Result<Run, EngineError> {
    let sequences = cache.shape().sequences;
    let sequence = cache.open(None).ok_or(EngineError::NoFreeSequence { sequences })?;
    match cache.reserve(&[(sequence, text.len())]) {
        Ok(()) => Ok(Run { sequence, row, position: 0, tokens: text.len() }),
        Err(error) => {
            cache.close(sequence);
            Err(refusal(error))
        }
    }
}
