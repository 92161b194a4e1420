//! The seam between what is generated and how an endpoint writes it.

use crate::{
    api::openai::Usage,
    scheduler::event::{FinishReason, Output, TokenLogprob},
};

/// One endpoint's documents.
pub(super) trait Wire: Send + 'static {
    /// The event before the first text of an answer, where the endpoint has one.
    fn opening(&self, index: usize) -> Option<serde_json::Result<String>>;
    /// The event of more text.
    fn output(&self, index: usize, output: &Output) -> serde_json::Result<String>;
    /// The last event of an answer.
    fn finish(&self, index: usize, reason: FinishReason) -> serde_json::Result<String>;
    /// The event with the token counts.
    fn usage(&self, usage: Usage) -> serde_json::Result<String>;
    /// The document of whole answers.
    fn whole(&self, answers: &[WholeAnswer], usage: Usage) -> serde_json::Result<String>;
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WholeAnswer {
    /// The text.
    pub text: String,
    /// One entry per token, when asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// Why it ended.
    pub reason: FinishReason,
}
