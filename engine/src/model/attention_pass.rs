//! Attention of one block over a step: what decoders and encoders do alike.

use super::{
    attention_tensors::{AttentionTensors, Projection},
    config::{BlockConfig, Config},
    scratch::Scratch,
    step::Step,
};
use crate::{
    kv_cache::KvCache,
    ops::{
        attention::AttentionShape,
        heads::HeadSteps,
        product::Products,
        rope::Rope,
        rows::{add, split_rows},
    },
    weights::{WeightError, Weights},
};

/// What a block's attention is made of.
#[derive(Clone, Copy)]
pub(super) struct AttentionPass<'m> {
    pub(super) config: &'m Config,
    pub(super) block: BlockConfig,
    pub(super) tensors: &'m AttentionTensors,
    /// How its heads turn.
    pub(super) rope: Option<&'m Rope>,
    /// Where its keys and values stand in the cache.
    pub(super) cache_layer: usize,
    pub(super) causal: bool,
}

impl<'m> AttentionPass<'m> {
    /// From the normed state in `scratch.normed`, or the state itself, to what is added to the state, in
    /// `scratch.added`.
    pub(super) fn run(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        cache: &mut KvCache,
        step: &Step,
        scratch: &mut Scratch,
    ) -> Result<(), WeightError> {
        self.project(products, weights, scratch)?;
        let Scratch { queries, keys, values, attended, added, turns, plan, .. } = scratch;
        let turns = self.block.rope.and_then(|rope| turns.get(rope));
        let rope = self.rope.zip(turns.map(Vec::as_slice));
        let Config { head_dim, norm_epsilon, .. } = *self.config;
        let AttentionTensors { query_bias, key_bias, value_bias, query_norm, key_norm, .. } =
            self.tensors;
        let (query_len, kv_len) = (self.config.query_len(), self.config.kv_len());
        let bias = |bias: &'m Option<Vec<f32>>| HeadSteps {
            head_dim,
            bias: bias.as_deref(),
            norm: None,
            rope: None,
        };
        let norm = |weight: &'m Option<Vec<f32>>| Some((weight.as_deref()?, norm_epsilon));
        HeadSteps { norm: norm(query_norm), rope, ..bias(query_bias) }
            .apply(products, queries, query_len);
        HeadSteps { norm: norm(key_norm), rope, ..bias(key_bias) }.apply(products, keys, kv_len);
        bias(value_bias).apply(products, values, kv_len);
        for run in &step.runs {
            let rows = run.row * kv_len..(run.row + run.tokens) * kv_len;
            let (keys, values) = (&keys[rows.clone()], &values[rows]);
            cache.write_run(self.cache_layer, run.sequence, run.position, keys, values);
        }
        plan.attend(products, self.shape(), cache, self.cache_layer, queries, attended);
        let output = self.tensors.output.view(weights)?;
        products.multiply(attended, self.config.query_len(), [(output, &mut **added)]);
        add_bias(added, self.tensors.output_bias.as_deref());
        Ok(())
    }

    /// Queries, keys and values of the normed state.
    fn project(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        scratch: &mut Scratch,
    ) -> Result<(), WeightError> {
        let Scratch { normed, queries, keys, values, fused, .. } = scratch;
        let width = self.config.embedding;
        match &self.tensors.projection {
            Projection::Split { query, key, value } => {
                let outputs = [
                    (query.view(weights)?, &mut **queries),
                    (key.view(weights)?, &mut **keys),
                    (value.view(weights)?, &mut **values),
                ];
                products.multiply(normed, width, outputs);
            }
            Projection::Fused(matrix) => {
                fused.resize(normed.len() / width * matrix.rows, 0.0);
                products.multiply(normed, width, [(matrix.view(weights)?, &mut **fused)]);
                let (query_len, kv_len) = (self.config.query_len(), self.config.kv_len());
                split_rows(fused, [(queries, query_len), (keys, kv_len), (values, kv_len)]);
            }
        }
        Ok(())
    }

    /// The shape of this block's attention.
    pub(super) fn shape(&self) -> AttentionShape {
        shape(self.config, self.block, self.causal)
    }
}

/// The shape of a block's attention.
pub(super) fn shape(config: &Config, block: BlockConfig, causal: bool) -> AttentionShape {
    let Config { heads, kv_heads, head_dim, attention_scale, attention_cap, .. } = *config;
    AttentionShape {
        heads,
        kv_heads,
        head_dim,
        scale: attention_scale,
        soft_cap: attention_cap,
        window: block.window,
        causal,
    }
}

/// Adds a bias to each row.
pub(super) fn add_bias(rows: &mut [f32], bias: Option<&[f32]>) {
    if let Some(bias) = bias {
        rows.chunks_exact_mut(bias.len()).for_each(|row| add(row, bias));
    }
}
