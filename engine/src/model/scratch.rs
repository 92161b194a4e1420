//! The numbers of one step, between the operations. Kept from step to step so that a step allocates little.

use super::config::Config;
use crate::ops::attention::AttentionPlan;

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
    /// Rope row size: cosines and sines of each position.
    pub(super) turns: Vec<f32>,
    /// How attention is cut into tasks.
    pub(super) plan: AttentionPlan,
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
        self.turns.resize(tokens * config.rope_dimensions, 0.0);
    }
}
