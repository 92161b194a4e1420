//! The llama family (Touvron et al. 2023): [`Llama::forward`] reads from top to bottom as the model computes.

mod tensors;

use self::tensors::{BlockView, Tensors};
use super::{config::Config, error::ModelError, scratch::Scratch};
use crate::{
    gguf::Gguf,
    kv_cache::KvCache,
    ops::{
        attention::{AttentionShape, Run},
        product::Products,
        rms_norm::rms_norm,
        rope::{Rope, rotate},
        rows::{add, each_row, row},
        swiglu::swiglu,
    },
    quant::dequantize_row,
    tokenizer::TokenId,
    weights::{WeightError, Weights},
};

/// A checked model of the llama family. Holds names and small vectors; matrices stay where the weights are.
#[derive(Debug)]
pub struct Llama {
    config: Config,
    tensors: Tensors,
    rope: Rope,
}

/// What one step computes.
#[derive(Debug, Default)]
pub struct Step {
    /// Tokens of all runs, one after the other.
    pub tokens: Vec<TokenId>,
    /// Whose they are and where they stand; their rows cover `tokens`.
    pub runs: Vec<Run>,
    /// Rows of `tokens` after which logits are wanted, in order.
    pub wanted: Vec<usize>,
}

impl Llama {
    /// Reads the sizes and checks every tensor against them.
    pub fn new(gguf: &Gguf, weights: &dyn Weights) -> Result<Self, ModelError> {
        let config = Config::from_metadata(&gguf.metadata)?;
        let tensors = Tensors::new(&config, gguf, weights)?;
        let factors = tensors.rope_factors.as_deref();
        let rope = Rope::new(config.rope_base, config.rope_dimensions, config.rope_scale, factors);
        Ok(Self { config, tensors, rope })
    }

    /// The sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Tokens of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.tensors.vocab_size
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
        scratch.resize(&self.config, step.tokens.len());
        scratch.plan.plan(products.team, &step.runs, self.attention_shape());
        self.embed(weights, step, scratch)?;
        self.turns(step, scratch);
        for (layer, block) in self.tensors.blocks.iter().enumerate() {
            let block = block.view(&self.config, weights)?;
            self.attention(products, &block, cache, layer, step, scratch);
            self.feed_forward(products, &block, scratch);
        }
        self.logits(products, weights, step, scratch, logits)
    }

    /// The state starts as the embeddings of the tokens.
    fn embed(
        &self,
        weights: &dyn Weights,
        step: &Step,
        scratch: &mut Scratch,
    ) -> Result<(), WeightError> {
        let embeddings = self.tensors.embeddings(&self.config, weights)?;
        for (state, &token) in
            scratch.state.chunks_exact_mut(self.config.embedding).zip(&step.tokens)
        {
            let bytes = embeddings.row(token as usize).unwrap_or_default();
            dequantize_row(embeddings.format(), bytes, state).map_err(|reason| {
                WeightError::Undecodable { tensor: tensors::EMBEDDINGS.to_owned(), reason }
            })?;
        }
        Ok(())
    }

    /// By how much the pairs of each token turn.
    fn turns(&self, step: &Step, scratch: &mut Scratch) {
        let positions = step.runs.iter().flat_map(|run| run.position..run.position + run.tokens);
        for (turns, position) in scratch.turns.chunks_exact_mut(self.rope.row_len()).zip(positions)
        {
            self.rope.fill(position, turns);
        }
    }

    /// Each token looks at the tokens before it.
    fn attention(
        &self,
        products: Products<'_>,
        block: &BlockView<'_>,
        cache: &mut KvCache,
        layer: usize,
        step: &Step,
        scratch: &mut Scratch,
    ) {
        let Scratch { state, normed, queries, keys, values, attended, added, turns, plan, .. } =
            scratch;
        rms_norm(products, state, &block.vectors.attention_norm, self.config.norm_epsilon, normed);
        let outputs =
            [(block.query, &mut **queries), (block.key, &mut **keys), (block.value, &mut **values)];
        products.multiply(normed, self.config.embedding, outputs);
        add_bias(queries, block.vectors.query_bias.as_deref());
        add_bias(keys, block.vectors.key_bias.as_deref());
        add_bias(values, block.vectors.value_bias.as_deref());
        self.rotate(products, queries, self.config.query_len(), turns);
        self.rotate(products, keys, self.config.kv_len(), turns);
        self.remember(cache, layer, step, keys, values);
        plan.attend(products, self.attention_shape(), cache, layer, queries, attended);
        products.multiply(
            attended,
            self.config.query_len(),
            [(block.attention_output, &mut **added)],
        );
        add_bias(added, block.vectors.attention_output_bias.as_deref());
        add(state, added);
    }

    /// Each token thinks for itself.
    fn feed_forward(&self, products: Products<'_>, block: &BlockView<'_>, scratch: &mut Scratch) {
        let Scratch { state, normed, added, gate, up, .. } = scratch;
        rms_norm(
            products,
            state,
            &block.vectors.feed_forward_norm,
            self.config.norm_epsilon,
            normed,
        );
        products.multiply(
            normed,
            self.config.embedding,
            [(block.gate, &mut **gate), (block.up, &mut **up)],
        );
        let width = self.config.feed_forward;
        each_row(products.team, gate, width, |index, gate| swiglu(gate, row(up, width, index)));
        products.multiply(gate, width, [(block.down, &mut **added)]);
        add(state, added);
    }

    /// The states of the wanted rows, compared with every token of the vocabulary.
    fn logits(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        step: &Step,
        scratch: &mut Scratch,
        logits: &mut Vec<f32>,
    ) -> Result<(), WeightError> {
        let width = self.config.embedding;
        let Scratch { state, normed, added, .. } = scratch;
        for (place, &wanted) in step.wanted.iter().enumerate() {
            added[place * width..(place + 1) * width].copy_from_slice(row(state, width, wanted));
        }
        let length = step.wanted.len() * width;
        rms_norm(
            products,
            &added[..length],
            &self.tensors.output_norm,
            self.config.norm_epsilon,
            &mut normed[..length],
        );
        logits.resize(step.wanted.len() * self.vocab_size(), 0.0);
        let output = self.tensors.output(&self.config, weights)?;
        products.multiply(&normed[..length], width, [(output, &mut **logits)]);
        Ok(())
    }

    fn attention_shape(&self) -> AttentionShape {
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        let scale = 1.0 / (head_dim as f32).sqrt();
        AttentionShape { heads, kv_heads, head_dim, scale, soft_cap: 0.0, window: 0, causal: true }
    }

    fn rotate(&self, products: Products<'_>, heads: &mut [f32], width: usize, turns: &[f32]) {
        let turn_len = self.rope.row_len();
        each_row(products.team, heads, width, |index, heads| {
            rotate(heads, self.config.head_dim, row(turns, turn_len, index));
        });
    }

    /// Writes the step's keys and values to the cache.
    fn remember(
        &self,
        cache: &mut KvCache,
        layer: usize,
        step: &Step,
        keys: &[f32],
        values: &[f32],
    ) {
        let width = self.config.kv_len();
        for run in &step.runs {
            let rows = run.row * width..(run.row + run.tokens) * width;
            cache.write_run(layer, run.sequence, run.position, &keys[rows.clone()], &values[rows]);
        }
    }
}

fn add_bias(rows: &mut [f32], bias: Option<&[f32]>) {
    if let Some(bias) = bias {
        rows.chunks_exact_mut(bias.len()).for_each(|row| add(row, bias));
    }
}
