//! The seam between what is generated and how an endpoint writes it.

use crate::{
    api::{openai::Usage, tools::ToolSyntax},
    scheduler::event::{FinishReason, Output, TokenLogprob},
};

/// One endpoint's documents.
pub(super) trait Wire: Send + 'static {
    /// How many answers come, and how they write calls of tools, when they may.
    fn expect(&mut self, _answers: usize, _syntax: Option<ToolSyntax>) {}
    /// The event before the first text of an answer, where the endpoint has one.
    fn opening(&self, index: usize) -> Option<serde_json::Result<String>>;
    /// The events of more text; none when it is not decided yet what the text is.
    fn output(&mut self, index: usize, output: &Output) -> serde_json::Result<Vec<String>>;
    /// The last events of an answer.
    fn finish(&mut self, index: usize, reason: FinishReason) -> serde_json::Result<Vec<String>>;
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
