//! Transformers: what a model file must say and hold, and how tokens become logits or vectors.
//!
//! [`Config`] says what a model of any family does, block by block; one decoder and one encoder do it. Takes weights by
//! name and a KV cache; knows neither files nor sampling.

mod activation;
mod attention_pass;
mod attention_tensors;
mod config;
mod decoder;
mod embeddings;
mod encoder;
mod error;
mod family;
mod keys;
mod rope_spec;
mod scratch;
mod step;
mod tensor_reader;
mod transformer;

pub use self::{
    config::{BlockConfig, Config, ExpertConfig, Pooling},
    decoder::Decoder,
    encoder::Encoder,
    error::ModelError,
    family::{Activation, Task},
    scratch::Scratch,
    step::Step,
    transformer::Transformer,
};
