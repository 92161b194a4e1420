//! Any model: a decoder or an encoder.

use super::{
    config::{Config, Pooling},
    decoder::Decoder,
    encoder::Encoder,
    error::ModelError,
    family::Task,
    scratch::Scratch,
    step::Step,
};
use crate::{
    gguf::Gguf,
    kv_cache::KvCache,
    ops::{
        product::Products,
        rows::{add, row},
    },
    weights::{WeightError, Weights},
};

/// A checked model of any family.
#[derive(Debug)]
pub enum Transformer {
    /// It has logits.
    Decoder(Box<Decoder>),
    /// It has none.
    Encoder(Box<Encoder>),
}

impl Transformer {
    /// Reads the sizes and checks every tensor against them.
    pub fn new(gguf: &Gguf, weights: &dyn Weights) -> Result<Self, ModelError> {
        let config = Config::from_metadata(&gguf.metadata)?;
        match config.task {
            Task::Generate => Ok(Self::Decoder(Box::new(Decoder::new(config, gguf, weights)?))),
            Task::Embed => Ok(Self::Encoder(Box::new(Encoder::new(config, gguf, weights)?))),
        }
    }

    /// The sizes.
    pub fn config(&self) -> &Config {
        match self {
            Self::Decoder(decoder) => decoder.config(),
            Self::Encoder(encoder) => encoder.config(),
        }
    }

    /// Tokens of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Decoder(decoder) => decoder.vocab_size(),
            Self::Encoder(encoder) => encoder.vocab_size(),
        }
    }

    /// The model that has logits, if it has.
    pub fn decoder(&self) -> Option<&Decoder> {
        match self {
            Self::Decoder(decoder) => Some(decoder),
            Self::Encoder(_) => None,
        }
    }

    /// Runs a step whose runs are whole texts, each beginning at its sequence's start; returns a vector for each. Which
    /// rows are wanted is set here.
    pub fn embed(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        cache: &mut KvCache,
        step: &mut Step,
        scratch: &mut Scratch,
    ) -> Result<Vec<Vec<f32>>, WeightError> {
        let Config { pooling, embedding: width, .. } = *self.config();
        let rows = step.runs.iter().map(|run| run.row..run.row + run.tokens);
        step.wanted = match pooling {
            Pooling::Mean => rows.flatten().collect(),
            Pooling::First => rows.map(|rows| rows.start).collect(),
            Pooling::Last => rows.map(|rows| rows.end - 1).collect(),
        };
        let length = match self {
            Self::Decoder(decoder) => decoder.states(products, weights, cache, step, scratch)?,
            Self::Encoder(encoder) => encoder.states(products, weights, cache, step, scratch)?,
        };
        let states = &scratch.normed[..length];
        let vectors = step.runs.iter().enumerate().map(|(text, run)| match pooling {
            Pooling::Mean => mean(&states[run.row * width..(run.row + run.tokens) * width], width),
            Pooling::First | Pooling::Last => row(states, width, text).to_vec(),
        });
        Ok(vectors.collect())
    }
}

/// The mean of rows of `width` numbers.
fn mean(rows: &[f32], width: usize) -> Vec<f32> {
    let mut mean = vec![0.0; width];
    rows.chunks_exact(width).for_each(|row| add(&mut mean, row));
    let count = (rows.len() / width) as f32;
    for number in &mut mean {
        *number /= count;
    }
    mean
}
