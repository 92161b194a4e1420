//! Which tensors a llama-family file must hold, under which names and with which shapes.
//!
//! Small vectors are copied; matrices are named here and looked at where the weights lie, each time they are used.

use std::collections::HashSet;

use crate::{
    gguf::Gguf,
    model::{
        config::{Config, architecture},
        error::ModelError,
    },
    weights::{Matrix, WeightError, Weights},
};

/// Embedding of each token.
pub(super) const EMBEDDINGS: &str = "token_embd.weight";
const OUTPUT: &str = "output.weight";
const OUTPUT_NORM: &str = "output_norm.weight";
const ROPE_FACTORS: &str = "rope_freqs.weight";
/// In old files, and of no use: the frequencies follow from the metadata.
const IGNORED_SUFFIX: &str = ".attn_rot_embd";

/// The tensors of a model.
#[derive(Debug)]
pub(super) struct Tensors {
    pub(super) vocab_size: usize,
    pub(super) blocks: Vec<Block>,
    pub(super) output_norm: Vec<f32>,
    pub(super) rope_factors: Option<Vec<f32>>,
    /// The embeddings serve as output when the file has no matrix of its own for it.
    output: &'static str,
}

/// Names of a block's matrices, and its vectors.
#[derive(Debug)]
pub(super) struct Block {
    query: String,
    key: String,
    value: String,
    attention_output: String,
    gate: String,
    up: String,
    down: String,
    vectors: Vectors,
}

/// The vectors of a block.
#[derive(Debug)]
pub(super) struct Vectors {
    pub(super) attention_norm: Vec<f32>,
    pub(super) feed_forward_norm: Vec<f32>,
    pub(super) query_bias: Option<Vec<f32>>,
    pub(super) key_bias: Option<Vec<f32>>,
    pub(super) value_bias: Option<Vec<f32>>,
    pub(super) attention_output_bias: Option<Vec<f32>>,
}

/// The matrices of a block where they lie, with its vectors.
pub(super) struct BlockView<'w> {
    pub(super) vectors: &'w Vectors,
    pub(super) query: Matrix<'w>,
    pub(super) key: Matrix<'w>,
    pub(super) value: Matrix<'w>,
    pub(super) attention_output: Matrix<'w>,
    pub(super) gate: Matrix<'w>,
    pub(super) up: Matrix<'w>,
    pub(super) down: Matrix<'w>,
}

impl Tensors {
    /// Checks every tensor of the file against the sizes.
    pub(super) fn new(
        config: &Config,
        gguf: &Gguf,
        weights: &dyn Weights,
    ) -> Result<Self, ModelError> {
        let has = |name: &str| weights.tensor(name).is_some();
        let (embeddings, _) = weights
            .tensor(EMBEDDINGS)
            .ok_or_else(|| WeightError::Missing { tensor: EMBEDDINGS.to_owned() })?;
        let tensors = Self {
            vocab_size: embeddings.rows() as usize,
            blocks: (0..config.layers)
                .map(|layer| Block::new(layer, config, weights))
                .collect::<Result<_, _>>()?,
            output_norm: weights.vector(OUTPUT_NORM, config.embedding)?,
            rope_factors: optional(weights, ROPE_FACTORS, config.rope_dimensions / 2)?,
            output: if has(OUTPUT) { OUTPUT } else { EMBEDDINGS },
        };
        tensors.embeddings(config, weights)?;
        tensors.output(config, weights)?;
        for block in &tensors.blocks {
            block.view(config, weights)?;
        }
        refuse_unknown(config, gguf)?;
        Ok(tensors)
    }

    pub(super) fn embeddings<'w>(
        &self,
        config: &Config,
        weights: &'w dyn Weights,
    ) -> Result<Matrix<'w>, WeightError> {
        weights.table(EMBEDDINGS, self.vocab_size, config.embedding)
    }

    pub(super) fn output<'w>(
        &self,
        config: &Config,
        weights: &'w dyn Weights,
    ) -> Result<Matrix<'w>, WeightError> {
        weights.matrix(self.output, self.vocab_size, config.embedding)
    }
}

impl Block {
    fn new(layer: usize, config: &Config, weights: &dyn Weights) -> Result<Self, WeightError> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let bias = |part: &str, len| optional(weights, &name(part), len);
        Ok(Self {
            query: name("attn_q.weight"),
            key: name("attn_k.weight"),
            value: name("attn_v.weight"),
            attention_output: name("attn_output.weight"),
            gate: name("ffn_gate.weight"),
            up: name("ffn_up.weight"),
            down: name("ffn_down.weight"),
            vectors: Vectors {
                attention_norm: weights.vector(&name("attn_norm.weight"), config.embedding)?,
                feed_forward_norm: weights.vector(&name("ffn_norm.weight"), config.embedding)?,
                query_bias: bias("attn_q.bias", config.query_len())?,
                key_bias: bias("attn_k.bias", config.kv_len())?,
                value_bias: bias("attn_v.bias", config.kv_len())?,
                attention_output_bias: bias("attn_output.bias", config.embedding)?,
            },
        })
    }

    /// The block's matrices where they lie.
    pub(super) fn view<'w>(
        &'w self,
        config: &Config,
        weights: &'w dyn Weights,
    ) -> Result<BlockView<'w>, WeightError> {
        let Config { embedding, feed_forward, .. } = *config;
        let (query_len, kv_len) = (config.query_len(), config.kv_len());
        Ok(BlockView {
            vectors: &self.vectors,
            query: weights.matrix(&self.query, query_len, embedding)?,
            key: weights.matrix(&self.key, kv_len, embedding)?,
            value: weights.matrix(&self.value, kv_len, embedding)?,
            attention_output: weights.matrix(&self.attention_output, embedding, query_len)?,
            gate: weights.matrix(&self.gate, feed_forward, embedding)?,
            up: weights.matrix(&self.up, feed_forward, embedding)?,
            down: weights.matrix(&self.down, embedding, feed_forward)?,
        })
    }
}

fn optional(
    weights: &dyn Weights,
    name: &str,
    len: usize,
) -> Result<Option<Vec<f32>>, WeightError> {
    weights.tensor(name).map(|_| weights.vector(name, len)).transpose()
}

/// A tensor that the transformer does not use means that the model computes something else.
fn refuse_unknown(config: &Config, gguf: &Gguf) -> Result<(), ModelError> {
    const PARTS: [&str; 13] = [
        "attn_norm.weight",
        "attn_q.weight",
        "attn_k.weight",
        "attn_v.weight",
        "attn_output.weight",
        "attn_q.bias",
        "attn_k.bias",
        "attn_v.bias",
        "attn_output.bias",
        "ffn_norm.weight",
        "ffn_gate.weight",
        "ffn_up.weight",
        "ffn_down.weight",
    ];
    let in_blocks =
        (0..config.layers).flat_map(|layer| PARTS.map(|part| format!("blk.{layer}.{part}")));
    let outside = [EMBEDDINGS, OUTPUT, OUTPUT_NORM, ROPE_FACTORS].map(str::to_owned);
    let known: HashSet<String> = in_blocks.chain(outside).collect();
    let unknown = |name: &&str| !known.contains(*name) && !name.ends_with(IGNORED_SUFFIX);
    match gguf.tensors.iter().map(|tensor| tensor.name.as_str()).find(unknown) {
        Some(tensor) => Err(ModelError::UnknownTensor {
            tensor: tensor.to_owned(),
            architecture: architecture(&gguf.metadata)?.to_owned(),
        }),
        None => Ok(()),
    }
}
