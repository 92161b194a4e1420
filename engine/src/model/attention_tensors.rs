//! The tensors of attention, which decoders and encoders share: projections, their biases and norms.

use super::{
    config::Config,
    tensor_reader::{MatrixName, TensorReader},
};
use crate::weights::WeightError;

/// What attention multiplies with and adds.
#[derive(Debug)]
pub(super) struct AttentionTensors {
    pub(super) projection: Projection,
    pub(super) query_bias: Option<Vec<f32>>,
    pub(super) key_bias: Option<Vec<f32>>,
    pub(super) value_bias: Option<Vec<f32>>,
    pub(super) query_norm: Option<Vec<f32>>,
    pub(super) key_norm: Option<Vec<f32>>,
    pub(super) output: MatrixName,
    pub(super) output_bias: Option<Vec<f32>>,
}

/// Where queries, keys and values come from.
#[derive(Debug)]
pub(super) enum Projection {
    /// A matrix each.
    Split { query: MatrixName, key: MatrixName, value: MatrixName },
    /// One matrix whose rows are those of queries, keys and values, in this order.
    Fused(MatrixName),
}

impl AttentionTensors {
    /// Reads and checks those of a block.
    pub(super) fn read(
        layer: usize,
        config: &Config,
        reader: &mut TensorReader<'_>,
    ) -> Result<Self, WeightError> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let Config { embedding, head_dim, .. } = *config;
        let (query_len, kv_len) = (config.query_len(), config.kv_len());
        let projection = if reader.has(&name("attn_qkv.weight")) {
            let rows = query_len + 2 * kv_len;
            Projection::Fused(reader.matrix(&name("attn_qkv.weight"), rows, embedding)?)
        } else {
            Projection::Split {
                query: reader.matrix(&name("attn_q.weight"), query_len, embedding)?,
                key: reader.matrix(&name("attn_k.weight"), kv_len, embedding)?,
                value: reader.matrix(&name("attn_v.weight"), kv_len, embedding)?,
            }
        };
        let [query_bias, key_bias, value_bias] = biases(&name, query_len, kv_len, reader)?;
        let mut head_norm = |part: &str| {
            config.head_norms().then(|| reader.vector(&name(part), head_dim)).transpose()
        };
        Ok(Self {
            projection,
            query_bias,
            key_bias,
            value_bias,
            query_norm: head_norm("attn_q_norm.weight")?,
            key_norm: head_norm("attn_k_norm.weight")?,
            output: reader.matrix(&name("attn_output.weight"), embedding, query_len)?,
            output_bias: reader.optional(&name("attn_output.bias"), embedding)?,
        })
    }
}

/// Of queries, keys and values; one vector may hold all three.
fn biases(
    name: &impl Fn(&str) -> String,
    query_len: usize,
    kv_len: usize,
    reader: &mut TensorReader<'_>,
) -> Result<[Option<Vec<f32>>; 3], WeightError> {
    if let Some(mut query) = reader.optional(&name("attn_qkv.bias"), query_len + 2 * kv_len)? {
        let value = query.split_off(query_len + kv_len);
        let key = query.split_off(query_len);
        return Ok([Some(query), Some(key), Some(value)]);
    }
    Ok([
        reader.optional(&name("attn_q.bias"), query_len)?,
        reader.optional(&name("attn_k.bias"), kv_len)?,
        reader.optional(&name("attn_v.bias"), kv_len)?,
    ])
}
