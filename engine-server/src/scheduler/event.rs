//! What goes into the scheduler and what comes out: a sequence to run, and its events.

use std::sync::Arc;

use realm_engine::{
    engine::TokenId,
    sampler::{SamplerError, SamplerParams},
};
use realm_sandbox::{Breach, wire};

use crate::{
    constraint::{Constraint, ConstraintError},
    program::LogitHook,
    scheduler::queue::QueueFull,
};

/// A sequence to run: a prompt in tokens and how to go on from it.
#[derive(Debug, Clone)]
pub struct SequenceRequest {
    /// Tokens of the prompt; at least one.
    pub prompt: Arc<[TokenId]>,
    /// Tokens to produce at most; with 0 only the prompt is computed.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: SamplerParams,
    /// The text ends before the first of these.
    pub stop: Vec<String>,
    /// Alternatives to report for each token; `None` reports no probabilities.
    pub top_logprobs: Option<usize>,
    /// What the text has to be, if not just anything.
    pub constraint: Option<Constraint>,
    /// The tenant's program, when it has a say in each token.
    pub logit_hook: Option<LogitHook>,
    /// Further probabilities to report.
    pub scores: Scores,
}

/// Probabilities that are reported beside those of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scores {
    /// Those of the prompt's own tokens.
    pub prompt: Option<PromptScores>,
    /// That of the token that ends the sequence and has no text, after those of the text.
    pub end: bool,
}

/// Which tokens of a prompt are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptScores {
    /// Alternatives to report for each.
    pub top: usize,
    /// Place of the first in the prompt. The prompt's first token has nothing before it, so 0 means 1. What stands before
    /// it may come from the prefix cache; from there on every token is computed.
    pub from: usize,
}

/// What a running sequence says. `Finished` or `Failed` is the last one.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The probabilities of the prompt's tokens from [`PromptScores::from`] on, when asked for. Once, before any text.
    Scored(Vec<ScoredToken>),
    /// More text.
    Output(Output),
    /// The sequence ended as it should.
    Finished(Finish),
    /// The sequence was ended from outside.
    Failed(Failure),
}

/// A piece of text and the tokens behind it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    /// Whole characters, no part of a stop string.
    pub text: String,
    /// Tokens produced since the last event.
    pub tokens: usize,
    /// Which ones.
    pub ids: Vec<TokenId>,
    /// One entry per token of the text, when asked for.
    pub logprobs: Vec<TokenLogprob>,
}

/// The probability of a token and of its alternatives, before any sampling parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The chosen token.
    pub chosen: Alternative,
    /// Characters of the sequence's text before the token.
    pub text_offset: usize,
    /// The most likely tokens, most likely first.
    pub top: Vec<Alternative>,
}

/// The probability of a token of the prompt, after those before it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredToken {
    /// The token.
    pub chosen: Alternative,
    /// The most likely tokens in its place, most likely first.
    pub top: Vec<Alternative>,
}

/// A token with its natural-log probability.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    /// The token.
    pub token: TokenId,
    /// Raw bytes of the token; not always whole characters.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    pub logprob: f32,
}

/// How a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// Why.
    pub reason: FinishReason,
    /// All tokens that were produced, the one that ended it included.
    pub completion_tokens: usize,
    /// Prompt tokens that needed no work because the tenant had computed them before. Counted for the first choice of
    /// each prompt only, like the prompt.
    pub cached_tokens: usize,
}

/// Why a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop string was found.
    Stop,
    /// `max_tokens` or the context is used up.
    Length,
    /// The tenant's program ended it because of its content.
    Filtered,
}

impl From<FinishReason> for wire::Finish {
    fn from(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Stop => Self::Stop,
            FinishReason::Length => Self::Length,
            FinishReason::Filtered => Self::Filtered,
        }
    }
}

impl From<wire::Finish> for FinishReason {
    fn from(why: wire::Finish) -> Self {
        match why {
            wire::Finish::Stop => Self::Stop,
            wire::Finish::Length => Self::Length,
            wire::Finish::Filtered => Self::Filtered,
        }
    }
}

/// Why a sequence was ended from outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The engine failed; the cause is in the log.
    #[error("the engine failed while it computed this answer; send the request again")]
    Engine,
    /// It is larger than the whole KV cache.
    #[error(
        "the prompt and its answer need {missing} pages more than the server's KV cache has; shorten the prompt, or \
         serve the model with a larger engine.kvTokens"
    )]
    TooLarge {
        /// Pages that were missing with nothing else running.
        missing: usize,
    },
    /// What its text has to be allows no way on.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// The tenant's program failed where it has a say in each token.
    #[error(transparent)]
    Program(#[from] Breach),
    /// The server stops.
    #[error("the server is stopping and its drain time is over; send the request again")]
    Stopping,
}

/// Why a sequence is not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full.
    #[error(transparent)]
    Full(#[from] QueueFull),
    /// A sampling parameter is out of range.
    #[error(transparent)]
    Sampling(#[from] SamplerError),
    /// The prompt alone is more than its tenant may hold.
    #[error(
        "the prompt has {tokens} tokens and the tenant's limits.kvBytes of {kv_bytes} bytes holds {limit}; shorten the \
         prompt, or ask who runs this server for a larger kvBytes"
    )]
    KvBudget {
        /// Of the prompt.
        tokens: usize,
        /// Tokens that the budget holds.
        limit: usize,
        /// The budget.
        kv_bytes: u64,
    },
    /// There is nothing to continue.
    #[error("the prompt has no tokens; at least one is needed")]
    EmptyPrompt,
    /// The scheduler has ended.
    #[error("the scheduler has ended")]
    Ended,
}
