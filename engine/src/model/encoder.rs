//! Encoders (Devlin et al. 2019): every token sees the whole text, and what comes out are states, not logits.
//!
//! Unlike decoders they normalise after they add, and keys and values do not outlive the step.

mod tensors;

use self::tensors::{Block, Tensors};
use super::{
    activation::gated,
    attention_pass::{AttentionPass, add_bias, shape},
    config::Config,
    error::ModelError,
    scratch::Scratch,
    step::Step,
};
use crate::{
    gguf::Gguf,
    kernels::Pointwise,
    kv_cache::KvCache,
    ops::{
        product::Products,
        rope::Rope,
        rows::{add, add_rows, each_row, row},
    },
    weights::{WeightError, Weights},
};

/// Keys and values of one layer at a time stand in the cache.
const CACHE_LAYER: usize = 0;

/// A checked encoder. Holds names and small vectors; matrices stay where the weights are.
#[derive(Debug)]
pub struct Encoder {
    config: Config,
    tensors: Tensors,
    ropes: Vec<Rope>,
}

impl Encoder {
    /// Checks every tensor against the sizes.
    pub fn new(config: Config, gguf: &Gguf, weights: &dyn Weights) -> Result<Self, ModelError> {
        let tensors = Tensors::new(&config, gguf, weights)?;
        let ropes = config.ropes.iter().map(|spec| Rope::new(spec, None)).collect();
        Ok(Self { config, tensors, ropes })
    }

    /// The sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Tokens of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.tensors.embeddings.matrix.rows
    }

    /// Runs a step whose runs are whole texts; the states of the wanted rows stand at the start of `scratch.normed`.
    /// Returns how many numbers they have.
    pub(super) fn states(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        cache: &mut KvCache,
        step: &Step,
        scratch: &mut Scratch,
    ) -> Result<usize, WeightError> {
        scratch.resize(&self.config, step.tokens.len());
        let sizes = shape(&self.config, self.config.blocks[0], false);
        scratch.plan.plan(products.team, &step.runs, sizes);
        scratch.fill_turns(self.ropes.iter(), &step.positions(), step.tokens.len());
        self.embed(products, weights, step, scratch)?;
        for (layer, block) in self.tensors.blocks.iter().enumerate() {
            scratch.normed.copy_from_slice(&scratch.state);
            self.attention(layer, block).run(products, weights, cache, step, scratch)?;
            add(&mut scratch.state, &scratch.added);
            block.attention_norm.apply(products, &mut scratch.state);
            self.feed_forward(products, weights, block, scratch)?;
            add(&mut scratch.state, &scratch.added);
            block.output_norm.apply(products, &mut scratch.state);
        }
        let width = self.config.embedding;
        let Scratch { state, normed, .. } = scratch;
        for (place, &wanted) in step.wanted.iter().enumerate() {
            normed[place * width..(place + 1) * width].copy_from_slice(row(state, width, wanted));
        }
        Ok(step.wanted.len() * width)
    }

    /// The state starts as the embeddings of token, kind and position.
    fn embed(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        step: &Step,
        scratch: &mut Scratch,
    ) -> Result<(), WeightError> {
        let Scratch { state, normed, .. } = scratch;
        self.tensors.embeddings.look_up(weights, &step.tokens, 1.0, state)?;
        if let Some(positions) = &self.tensors.positions {
            let width = self.config.embedding;
            for (row, position) in normed.chunks_exact_mut(width).zip(step.positions()) {
                positions.unpack_row(weights, position, row)?;
            }
            add_rows(products, state, normed, width);
        }
        add_bias(state, self.tensors.first_type.as_deref());
        self.tensors.norm.apply(products, state);
        Ok(())
    }

    fn attention<'m>(&'m self, layer: usize, block: &'m Block) -> AttentionPass<'m> {
        let config = &self.config;
        let kind = config.blocks[layer];
        AttentionPass {
            config,
            block: kind,
            tensors: &block.attention,
            rope: kind.rope.and_then(|rope| self.ropes.get(rope)),
            cache_layer: CACHE_LAYER,
            causal: false,
        }
    }

    /// Each token thinks for itself.
    fn feed_forward(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        block: &Block,
        scratch: &mut Scratch,
    ) -> Result<(), WeightError> {
        let Config { embedding: width, feed_forward: inner, activation, .. } = self.config;
        let Scratch { state, added, gate, up, .. } = scratch;
        let ups = block.up.view(weights)?;
        if let Some(gates) = &block.gate {
            products.multiply(
                state,
                width,
                [(gates.view(weights)?, &mut **gate), (ups, &mut **up)],
            );
            each_row(products.team, gate, inner, |index, gate| {
                gated(products.kernels, activation, gate, row(up, inner, index));
            });
        } else {
            products.multiply(state, width, [(ups, &mut **gate)]);
            each_row(products.team, gate, inner, |_, row| {
                if let Some(bias) = &block.up_bias {
                    add(row, bias);
                }
                products.kernels.pointwise(Pointwise::Gelu(row));
            });
        }
        products.multiply(gate, inner, [(block.down.view(weights)?, &mut **added)]);
        add_bias(added, block.down_bias.as_deref());
        Ok(())
    }
}
