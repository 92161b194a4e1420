//! Decoders (Radford et al. 2018, Touvron et al. 2023): [`Decoder::forward`] reads from top to bottom as a model computes.
//!
//! Families differ in what [`Config`] says of them and in which tensors a block has, not in the order of the work.

mod experts;
mod tensors;

use self::tensors::{Block, FeedForward, Tensors};
use super::{
    activation::gated,
    attention_pass::{AttentionPass, shape},
    config::Config,
    error::ModelError,
    scratch::Scratch,
    step::Step,
};
use crate::{
    gguf::Gguf,
    kv_cache::KvCache,
    ops::{
        product::Products,
        rms_norm::rms_norm,
        rope::Rope,
        rows::{add_rows, each_row, row},
        soft_cap::soft_cap,
    },
    weights::{WeightError, Weights},
};

/// A checked decoder. Holds names and small vectors; matrices stay where the weights are.
#[derive(Debug)]
pub struct Decoder {
    config: Config,
    tensors: Tensors,
    /// How heads turn: in contexts no longer than the original one, and in longer ones.
    ropes: Vec<Rope>,
    long_ropes: Vec<Rope>,
}

impl Decoder {
    /// Checks every tensor against the sizes.
    pub fn new(config: Config, gguf: &Gguf, weights: &dyn Weights) -> Result<Self, ModelError> {
        let tensors = Tensors::new(&config, gguf, weights)?;
        let ropes = |factors: &Option<Vec<f32>>| {
            config.ropes.iter().map(|spec| Rope::new(spec, factors.as_deref())).collect()
        };
        let (ropes, long_ropes) =
            (ropes(&tensors.rope_factors.short), ropes(&tensors.rope_factors.long));
        Ok(Self { config, tensors, ropes, long_ropes })
    }

    /// The sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Tokens of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.tensors.embeddings.matrix.rows
    }

    /// Runs a step: fills `logits` with `step.wanted.len() x vocab_size` numbers, and writes the keys and values of its
    /// tokens to the cache, where room for them is reserved. Lengths in the cache are the caller's to advance.
    pub fn forward(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        cache: &mut KvCache,
        step: &Step,
        scratch: &mut Scratch,
        logits: &mut Vec<f32>,
    ) -> Result<(), WeightError> {
        let length = self.states(products, weights, cache, step, scratch)?;
        logits.resize(step.wanted.len() * self.vocab_size(), 0.0);
        let output = self.tensors.output.view(weights)?;
        let states = &scratch.normed[..length];
        products.multiply(states, self.config.embedding, [(output, &mut **logits)]);
        soft_cap(logits, self.config.logit_cap);
        Ok(())
    }

    /// Runs a step as far as the normed states of the wanted rows, which stand at the start of `scratch.normed`;
    /// returns how many numbers they have.
    pub(super) fn states(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        cache: &mut KvCache,
        step: &Step,
        scratch: &mut Scratch,
    ) -> Result<usize, WeightError> {
        let Config { embedding_scale, .. } = self.config;
        scratch.resize(&self.config, step.tokens.len());
        let sizes = shape(&self.config, self.config.blocks[0], true);
        scratch.plan.plan(products.team, &step.runs, sizes);
        let embeddings = &self.tensors.embeddings;
        embeddings.look_up(weights, &step.tokens, embedding_scale, &mut scratch.state)?;
        let ropes = self.ropes(cache);
        scratch.fill_turns(ropes.iter(), &step.positions(), step.tokens.len());
        for (layer, block) in self.tensors.blocks.iter().enumerate() {
            let pass = self.attention(layer, block, ropes);
            self.norm(products, &block.attention_norm, scratch);
            pass.run(products, weights, cache, step, scratch)?;
            self.add(products, block.attention_post_norm.as_deref(), scratch);
            self.norm(products, &block.feed_forward_norm, scratch);
            self.feed_forward(products, weights, &block.feed_forward, scratch)?;
            self.add(products, block.feed_forward_post_norm.as_deref(), scratch);
        }
        Ok(self.wanted(products, step, scratch))
    }

    /// How the heads turn in a cache of this length.
    fn ropes(&self, cache: &KvCache) -> &[Rope] {
        let long = cache.shape().context_length > self.config.original_context;
        if long { &self.long_ropes } else { &self.ropes }
    }

    fn attention<'m>(
        &'m self,
        layer: usize,
        block: &'m Block,
        ropes: &'m [Rope],
    ) -> AttentionPass<'m> {
        let config = &self.config;
        let kind = config.blocks[layer];
        AttentionPass {
            config,
            block: kind,
            tensors: &block.attention,
            rope: kind.rope.and_then(|rope| ropes.get(rope)),
            cache_layer: layer,
            causal: true,
        }
    }

    /// `normed` = the state, normalised.
    fn norm(&self, products: Products<'_>, weight: &[f32], scratch: &mut Scratch) {
        let Scratch { state, normed, .. } = scratch;
        rms_norm(products, state, weight, self.config.norm_epsilon, normed);
    }

    /// Adds what attention or the feed-forward network gave to the state, normalised if the family does so.
    fn add(&self, products: Products<'_>, post_norm: Option<&[f32]>, scratch: &mut Scratch) {
        let Scratch { state, normed, added, .. } = scratch;
        match post_norm {
            Some(weight) => {
                rms_norm(products, added, weight, self.config.norm_epsilon, normed);
                add_rows(products, state, normed, self.config.embedding);
            }
            None => add_rows(products, state, added, self.config.embedding),
        }
    }

    /// Each token thinks for itself.
    fn feed_forward(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        tensors: &FeedForward,
        scratch: &mut Scratch,
    ) -> Result<(), WeightError> {
        let Config { embedding: width, feed_forward: inner, activation, .. } = self.config;
        let Scratch { normed, added, gate, up, fused, .. } = scratch;
        let down = match tensors {
            FeedForward::Experts(experts) => {
                return experts.run(products, weights, &self.config, scratch);
            }
            FeedForward::Split { gate: gates, up: ups, down } => {
                let matrices =
                    [(gates.view(weights)?, &mut **gate), (ups.view(weights)?, &mut **up)];
                products.multiply(normed, width, matrices);
                each_row(products.team, gate, inner, |index, gate| {
                    gated(products.kernels, activation, gate, row(up, inner, index));
                });
                down
            }
            FeedForward::Fused { gate_up, down } => {
                fused.resize(gate.len() * 2, 0.0);
                products.multiply(normed, width, [(gate_up.view(weights)?, &mut **fused)]);
                each_row(products.team, gate, inner, |index, gate| {
                    let (gates, up) = row(fused, 2 * inner, index).split_at(inner);
                    gate.copy_from_slice(gates);
                    gated(products.kernels, activation, gate, up);
                });
                down
            }
        };
        products.multiply(gate, inner, [(down.view(weights)?, &mut **added)]);
        Ok(())
    }

    /// The normed states of the wanted rows.
    fn wanted(&self, products: Products<'_>, step: &Step, scratch: &mut Scratch) -> usize {
        let width = self.config.embedding;
        let Scratch { state, normed, added, .. } = scratch;
        for (place, &wanted) in step.wanted.iter().enumerate() {
            added[place * width..(place + 1) * width].copy_from_slice(row(state, width, wanted));
        }
        let length = step.wanted.len() * width;
        let (input, output) = (&added[..length], &mut normed[..length]);
        rms_norm(products, input, &self.tensors.output_norm, self.config.norm_epsilon, output);
        length
    }
}
