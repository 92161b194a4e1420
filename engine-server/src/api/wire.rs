//! The seam between what is generated and how an endpoint writes it.

use crate::{
    api::{echo::Echo, openai::Usage, tools::ToolSyntax},
    scheduler::event::{FinishReason, Output, ScoredToken, TokenLogprob},
};

/// One endpoint's documents.
pub(super) trait Wire: Send + 'static {
    /// How many answers come, and how they write calls of tools, when they may.
    fn expect(&mut self, _answers: usize, _syntax: Option<ToolSyntax>) {}
    /// Takes the prompts that come back in front of their answers.
    fn echo(&mut self, _echoes: Vec<Echo>) {}
    /// Whether `[DONE]` follows the last event.
    fn says_done(&self) -> bool {
        true
    }
    /// The kind of an event, where the endpoint names it beside the event's data.
    fn kind<'e>(&self, _event: &'e str) -> Option<&'e str> {
        None
    }
    /// The events before the first text of an answer, where the endpoint has any.
    fn opening(&mut self, index: usize) -> serde_json::Result<Vec<String>>;
    /// The events of the prompt's probabilities, where they were asked for.
    fn scored(&self, _index: usize, _scored: &[ScoredToken]) -> serde_json::Result<Vec<String>> {
        Ok(Vec::new())
    }
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
    /// One entry per token of the prompt but the first, when asked for.
    pub scored: Vec<ScoredToken>,
    /// One entry per token, when asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// Why it ended.
    pub reason: FinishReason,
}

impl WholeAnswer {
    /// Natural logarithm of its tokens' probability, on average.
    pub(super) fn mean_logprob(&self) -> f32 {
        let sum: f32 = self.logprobs.iter().map(|token| token.chosen.logprob).sum();
        sum / self.logprobs.len().max(1) as f32
    }
}
