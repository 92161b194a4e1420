//! Decisions of guests on tokens and candidates, parsed: what the host acts on is within the batch, the vocabulary and
//! the candidates.

use crate::{
    plan::{Fault, check_tokens},
    wire::{Batch, Finish, RawAction, RawDecision},
};

/// Tokens that a hook may insert at once.
pub const MAX_INSERTED_TOKENS: usize = 256;
/// Bytes that may stand for a batch.
pub const MAX_REPLACEMENT_BYTES: usize = 64 << 10;

/// What becomes of tokens that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// They are sent.
    Pass,
    /// This is sent instead.
    Replace(String),
    /// They wait for those that follow.
    Hold,
    /// They are sent, and these follow.
    Inject(Vec<u32>),
    /// That many of them, the last, are dropped and chosen again.
    Rewind(u32),
    /// The answer ends before them.
    Stop(Finish),
}

/// What becomes of a step's candidates.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Chosen as the request says.
    Pass,
    /// This candidate, by index.
    Pick(usize),
    /// Among those whose flag is set, at least one.
    Keep(Vec<bool>),
    /// With these logits, of which at least one is finite.
    Adjust(Vec<f32>),
    /// These tokens.
    Force(Vec<u32>),
    /// None; the answer ends.
    Stop(Finish),
}

impl Action {
    pub(crate) fn parse(raw: RawAction, shown: usize, vocabulary: u32) -> Result<Self, Fault> {
        Ok(match raw {
            RawAction::Pass => Self::Pass,
            RawAction::Replace(text) if text.len() > MAX_REPLACEMENT_BYTES => {
                let bytes = text.len();
                return Err(format!(
                    "replace has {bytes} bytes; it may have {MAX_REPLACEMENT_BYTES}"
                ));
            }
            RawAction::Replace(text) => Self::Replace(text),
            RawAction::Hold => Self::Hold,
            RawAction::Inject(tokens) => Self::Inject(inserted("inject", tokens, vocabulary)?),
            RawAction::Rewind(count) if count == 0 || count as usize > shown => {
                return Err(format!("rewind is {count}; the batch has {shown} tokens"));
            }
            RawAction::Rewind(count) => Self::Rewind(count),
            RawAction::Stop(why) => Self::Stop(why),
        })
    }
}

impl Decision {
    pub(crate) fn parse(
        raw: RawDecision,
        candidates: usize,
        vocabulary: u32,
    ) -> Result<Self, Fault> {
        Ok(match raw {
            RawDecision::Pass => Self::Pass,
            RawDecision::Pick(index) if index as usize >= candidates => {
                return Err(format!("pick is {index}; there are {candidates} candidates"));
            }
            RawDecision::Pick(index) => Self::Pick(index as usize),
            RawDecision::Keep(mask) => Self::Keep(kept(&mask, candidates)?),
            RawDecision::Adjust(logits) => Self::Adjust(adjusted(logits, candidates)?),
            RawDecision::Force(tokens) => Self::Force(inserted("force", tokens, vocabulary)?),
            RawDecision::Stop(why) => Self::Stop(why),
        })
    }
}

impl Batch {
    /// Refuses a call that shows nothing, which would be the host's own mistake.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.text.is_empty()
    }
}

fn inserted(field: &str, tokens: Vec<u32>, vocabulary: u32) -> Result<Vec<u32>, Fault> {
    if tokens.is_empty() || tokens.len() > MAX_INSERTED_TOKENS {
        let count = tokens.len();
        return Err(format!("{field} has {count} tokens; it may have 1 to {MAX_INSERTED_TOKENS}"));
    }
    check_tokens(field, &tokens, vocabulary)?;
    Ok(tokens)
}

fn kept(mask: &[u64], candidates: usize) -> Result<Vec<bool>, Fault> {
    let words = candidates.div_ceil(64);
    if mask.len() != words {
        let count = mask.len();
        return Err(format!("keep has {count} words; {candidates} candidates need {words}"));
    }
    let flags: Vec<bool> =
        (0..candidates).map(|index| mask[index / 64] >> (index % 64) & 1 == 1).collect();
    if !flags.contains(&true) {
        return Err("keep leaves no candidate".to_owned());
    }
    Ok(flags)
}

fn adjusted(logits: Vec<f32>, candidates: usize) -> Result<Vec<f32>, Fault> {
    if logits.len() != candidates {
        let count = logits.len();
        return Err(format!("adjust has {count} logits for {candidates} candidates"));
    }
    if logits.iter().any(|logit| logit.is_nan() || *logit == f32::INFINITY) {
        return Err("adjust has a logit that is not a number or infinite".to_owned());
    }
    if !logits.iter().any(|logit| logit.is_finite()) {
        return Err("adjust leaves no candidate".to_owned());
    }
    Ok(logits)
}
