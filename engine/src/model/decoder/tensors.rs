//! Which tensors the file of a decoder must hold, under which names and with which shapes.

use crate::{
    gguf::Gguf,
    model::{
        attention_tensors::AttentionTensors,
        config::{Config, ExpertConfig},
        embeddings::Embeddings,
        error::ModelError,
        family::Factors,
        tensor_reader::{ExpertMatrices, MatrixName, TensorReader},
    },
    weights::{WeightError, Weights},
};

const OUTPUT: &str = "output.weight";

/// The tensors of a decoder.
#[derive(Debug)]
pub(super) struct Tensors {
    pub(super) embeddings: Embeddings,
    pub(super) blocks: Vec<Block>,
    pub(super) output_norm: Vec<f32>,
    /// The embeddings serve as output when the file has no matrix of its own for it.
    pub(super) output: MatrixName,
    pub(super) rope_factors: RopeFactors,
}

/// Factors on the rotary frequencies: of contexts no longer than the original one, and of longer ones.
#[derive(Debug, Default)]
pub(super) struct RopeFactors {
    pub(super) short: Option<Vec<f32>>,
    pub(super) long: Option<Vec<f32>>,
}

/// The tensors of a block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) attention_norm: Vec<f32>,
    pub(super) attention: AttentionTensors,
    pub(super) attention_post_norm: Option<Vec<f32>>,
    pub(super) feed_forward_norm: Vec<f32>,
    pub(super) feed_forward: FeedForward,
    pub(super) feed_forward_post_norm: Option<Vec<f32>>,
}

/// A gated feed-forward network, or several.
#[derive(Debug)]
pub(super) enum FeedForward {
    /// A matrix each.
    Split { gate: MatrixName, up: MatrixName, down: MatrixName },
    /// Gate and up are one matrix, the rows of the gate first.
    Fused { gate_up: MatrixName, down: MatrixName },
    /// A mixture of experts.
    Experts(Experts),
}

/// A mixture of experts.
#[derive(Debug)]
pub(super) struct Experts {
    pub(super) config: ExpertConfig,
    pub(super) router: MatrixName,
    pub(super) gate: ExpertMatrices,
    pub(super) up: ExpertMatrices,
    pub(super) down: ExpertMatrices,
}

impl Tensors {
    /// Checks every tensor of the file against the sizes.
    pub(super) fn new(
        config: &Config,
        gguf: &Gguf,
        weights: &dyn Weights,
    ) -> Result<Self, ModelError> {
        let mut reader = TensorReader::new(weights);
        let embeddings = Embeddings::read(config.embedding, &mut reader)?;
        let output = if reader.has(OUTPUT) {
            reader.matrix(OUTPUT, embeddings.matrix.rows, config.embedding)?
        } else {
            embeddings.matrix.clone()
        };
        let tensors = Self {
            blocks: (0..config.layers)
                .map(|layer| Block::read(layer, config, &mut reader))
                .collect::<Result<_, _>>()?,
            output_norm: reader.vector("output_norm.weight", config.embedding)?,
            rope_factors: RopeFactors::read(config, &mut reader)?,
            embeddings,
            output,
        };
        reader.refuse_others(gguf, config.architecture())?;
        Ok(tensors)
    }
}

impl RopeFactors {
    fn read(config: &Config, reader: &mut TensorReader<'_>) -> Result<Self, WeightError> {
        let pairs = config.ropes.first().map_or(0, |rope| rope.dimensions / 2);
        let mut optional = |name| reader.optional(name, pairs);
        match config.factors {
            Factors::None => Ok(Self::default()),
            Factors::One => {
                let factors = optional("rope_freqs.weight")?;
                Ok(Self { long: factors.clone(), short: factors })
            }
            Factors::ShortAndLong => Ok(Self {
                short: optional("rope_factors_short.weight")?,
                long: optional("rope_factors_long.weight")?,
            }),
        }
    }
}

impl Block {
    fn read(
        layer: usize,
        config: &Config,
        reader: &mut TensorReader<'_>,
    ) -> Result<Self, WeightError> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let width = config.embedding;
        let attention_norm = reader.vector(&name("attn_norm.weight"), width)?;
        let attention = AttentionTensors::read(layer, config, reader)?;
        let feed_forward_norm = reader.vector(&name("ffn_norm.weight"), width)?;
        let feed_forward = FeedForward::read(&name, config, reader)?;
        let mut post_norm =
            |part| config.post_norms().then(|| reader.vector(&name(part), width)).transpose();
        Ok(Self {
            attention_norm,
            attention,
            attention_post_norm: post_norm("post_attention_norm.weight")?,
            feed_forward_norm,
            feed_forward,
            feed_forward_post_norm: post_norm("post_ffw_norm.weight")?,
        })
    }
}

impl FeedForward {
    fn read(
        name: &impl Fn(&str) -> String,
        config: &Config,
        reader: &mut TensorReader<'_>,
    ) -> Result<Self, WeightError> {
        let (width, inner) = (config.embedding, config.feed_forward);
        if let Some(experts) = config.experts {
            return Ok(Self::Experts(Experts::read(name, experts, width, reader)?));
        }
        let down = reader.matrix(&name("ffn_down.weight"), width, inner)?;
        if config.fused_gate() {
            let gate_up = reader.matrix(&name("ffn_up.weight"), 2 * inner, width)?;
            return Ok(Self::Fused { gate_up, down });
        }
        Ok(Self::Split {
            gate: reader.matrix(&name("ffn_gate.weight"), inner, width)?,
            up: reader.matrix(&name("ffn_up.weight"), inner, width)?,
            down,
        })
    }
}

impl Experts {
    fn read(
        name: &impl Fn(&str) -> String,
        config: ExpertConfig,
        width: usize,
        reader: &mut TensorReader<'_>,
    ) -> Result<Self, WeightError> {
        let ExpertConfig { count, feed_forward: inner, .. } = config;
        Ok(Self {
            config,
            router: reader.matrix(&name("ffn_gate_inp.weight"), count, width)?,
            gate: reader.experts(&name("ffn_gate_exps.weight"), count, inner, width)?,
            up: reader.experts(&name("ffn_up_exps.weight"), count, inner, width)?,
            down: reader.experts(&name("ffn_down_exps.weight"), count, width, inner)?,
        })
    }
}
