//! The numbers of one step, between the operations. Kept from step to step so that a step allocates little.

use super::config::Config;
use crate::ops::{attention::AttentionPlan, rope::Rope};

/// Buffers of a step; each is `tokens x` the size named.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Embedding size: the state that the blocks add to.
    pub(super) state: Vec<f32>,
    /// Embedding size: the state normalised.
    pub(super) normed: Vec<f32>,
    /// Query heads.
    pub(super) queries: Vec<f32>,
    /// Key heads.
    pub(super) keys: Vec<f32>,
    /// Key heads.
    pub(super) values: Vec<f32>,
    /// Query heads: what attention gives.
    pub(super) attended: Vec<f32>,
    /// Embedding size: what a block adds.
    pub(super) added: Vec<f32>,
    /// Feed-forward size.
    pub(super) gate: Vec<f32>,
    /// Feed-forward size.
    pub(super) up: Vec<f32>,
    /// What one matrix gives that is several: queries, keys and values; gate and up. Sized where it is used.
    pub(super) fused: Vec<f32>,
    /// Rope row size: cosines and sines of each position, for each rope.
    pub(super) turns: Vec<Vec<f32>>,
    /// A mixture of experts.
    pub(super) experts: ExpertScratch,
    /// How attention is cut into tasks.
    pub(super) plan: AttentionPlan,
}

/// Buffers of a mixture of experts.
#[derive(Debug, Default)]
pub(super) struct ExpertScratch {
    /// `tokens x experts`: how much each expert suits a token.
    pub(super) scores: Vec<f32>,
    /// For each expert the tokens that are sent to it, with their shares.
    pub(super) sent: Vec<Vec<(usize, f32)>>,
    /// The states of one expert's tokens.
    pub(super) input: Vec<f32>,
    /// What the expert makes of them.
    pub(super) output: Vec<f32>,
}

impl Scratch {
    pub(super) fn resize(&mut self, config: &Config, tokens: usize) {
        for state in [&mut self.state, &mut self.normed, &mut self.added] {
            state.resize(tokens * config.embedding, 0.0);
        }
        for queries in [&mut self.queries, &mut self.attended] {
            queries.resize(tokens * config.query_len(), 0.0);
        }
        for keys in [&mut self.keys, &mut self.values] {
            keys.resize(tokens * config.kv_len(), 0.0);
        }
        for hidden in [&mut self.gate, &mut self.up] {
            hidden.resize(tokens * config.feed_forward, 0.0);
        }
    }

    /// By how much the heads of each token turn, for each rope.
    pub(super) fn fill_turns<'r>(
        &mut self,
        ropes: impl Iterator<Item = &'r Rope>,
        positions: &(impl Iterator<Item = usize> + Clone),
        tokens: usize,
    ) {
        for (at, rope) in ropes.enumerate() {
            if self.turns.len() <= at {
                self.turns.push(Vec::new());
            }
            self.turns[at].resize(tokens * rope.row_len(), 0.0);
            for (row, position) in
                self.turns[at].chunks_exact_mut(rope.row_len()).zip(positions.clone())
            {
                rope.fill(position, row);
            }
        }
    }
}
