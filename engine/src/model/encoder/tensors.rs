//! Which tensors the file of an encoder must hold, under which names and with which shapes.

use crate::{
    gguf::Gguf,
    model::{
        attention_tensors::AttentionTensors,
        config::Config,
        embeddings::Embeddings,
        error::ModelError,
        family::Activation,
        tensor_reader::{MatrixName, TensorReader},
    },
    ops::layer_norm::LayerNorm,
    weights::{WeightError, Weights},
};

const TYPES: &str = "token_types.weight";
const POSITIONS: &str = "position_embd.weight";
/// Not an input of embeddings: heads that classify or rank texts.
const HEADS: [&str; 4] = ["cls.weight", "cls.bias", "cls.output.weight", "cls.output.bias"];

/// The tensors of an encoder.
#[derive(Debug)]
pub(super) struct Tensors {
    pub(super) embeddings: Embeddings,
    /// Added to each token: the embedding of the first kind of token.
    pub(super) first_type: Option<Vec<f32>>,
    /// An embedding for each position, when heads do not turn.
    pub(super) positions: Option<MatrixName>,
    pub(super) norm: LayerNorm,
    pub(super) blocks: Vec<Block>,
}

/// The tensors of a block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) attention: AttentionTensors,
    pub(super) attention_norm: LayerNorm,
    pub(super) gate: Option<MatrixName>,
    pub(super) up: MatrixName,
    pub(super) up_bias: Option<Vec<f32>>,
    pub(super) down: MatrixName,
    pub(super) down_bias: Option<Vec<f32>>,
    pub(super) output_norm: LayerNorm,
}

impl Tensors {
    /// Checks every tensor of the file against the sizes.
    pub(super) fn new(
        config: &Config,
        gguf: &Gguf,
        weights: &dyn Weights,
    ) -> Result<Self, ModelError> {
        let mut reader = TensorReader::new(weights);
        let width = config.embedding;
        let embeddings = Embeddings::read(width, &mut reader)?;
        let positions = config.ropes.is_empty();
        let positions = positions.then(|| reader.matrix(POSITIONS, config.context_length, width));
        let tensors = Self {
            embeddings,
            first_type: first_type(width, &mut reader, weights)?,
            positions: positions.transpose()?,
            norm: norm("token_embd_norm", config, &mut reader)?,
            blocks: (0..config.layers)
                .map(|layer| Block::read(layer, config, &mut reader))
                .collect::<Result<_, _>>()?,
        };
        for name in &HEADS {
            reader.ignore(name);
        }
        reader.refuse_others(gguf, config.architecture())?;
        Ok(tensors)
    }
}

/// The embedding of the first kind of token; texts are of that kind throughout.
fn first_type(
    width: usize,
    reader: &mut TensorReader<'_>,
    weights: &dyn Weights,
) -> Result<Option<Vec<f32>>, WeightError> {
    if !reader.has(TYPES) {
        return Ok(None);
    }
    let rows = reader.rows(TYPES)?;
    let matrix = reader.matrix(TYPES, rows, width)?;
    let mut first = vec![0.0; width];
    matrix.unpack_row(weights, 0, &mut first)?;
    Ok(Some(first))
}

fn norm(
    name: &str,
    config: &Config,
    reader: &mut TensorReader<'_>,
) -> Result<LayerNorm, WeightError> {
    Ok(LayerNorm {
        weight: reader.vector(&format!("{name}.weight"), config.embedding)?,
        bias: reader.vector(&format!("{name}.bias"), config.embedding)?,
        epsilon: config.norm_epsilon,
    })
}

impl Block {
    fn read(
        layer: usize,
        config: &Config,
        reader: &mut TensorReader<'_>,
    ) -> Result<Self, WeightError> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let (width, inner) = (config.embedding, config.feed_forward);
        let gated = config.activation != Activation::PlainGelu;
        let gate = gated.then(|| reader.matrix(&name("ffn_gate.weight"), inner, width));
        let gate = gate.transpose()?;
        let mut bias = |part: &str, len| {
            if gated { Ok(None) } else { reader.optional(&name(part), len) }
        };
        let (up_bias, down_bias) = (bias("ffn_up.bias", inner)?, bias("ffn_down.bias", width)?);
        Ok(Self {
            attention: AttentionTensors::read(layer, config, reader)?,
            attention_norm: norm(&name("attn_output_norm"), config, reader)?,
            gate,
            up: reader.matrix(&name("ffn_up.weight"), inner, width)?,
            up_bias,
            down: reader.matrix(&name("ffn_down.weight"), width, inner)?,
            down_bias,
            output_norm: norm(&name("layer_output_norm"), config, reader)?,
        })
    }
}
