//! What one step computes.

use crate::{ops::attention::Run, tokenizer::TokenId};

/// What one step computes.
#[derive(Debug, Default)]
pub struct Step {
    /// Tokens of all runs, one after the other.
    pub tokens: Vec<TokenId>,
    /// Whose they are and where they stand; their rows cover `tokens`.
    pub runs: Vec<Run>,
    /// Rows of `tokens` after which logits or states are wanted, in order.
    pub wanted: Vec<usize>,
}

impl Step {
    /// Where each token stands in its sequence.
    pub(super) fn positions(&self) -> impl Iterator<Item = usize> + Clone {
        self.runs.iter().flat_map(|run| run.position..run.position + run.tokens)
    }
}
