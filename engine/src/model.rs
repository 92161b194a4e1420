//! Transformers: what a model file must say and hold, and how tokens become logits.
//!
//! One family so far, `llama`. Takes weights by name and a KV cache; knows neither files nor sampling.

mod config;
mod error;
mod llama;
mod scratch;

pub use self::{
    config::{Config, SUPPORTED_ARCHITECTURES, architecture},
    error::ModelError,
    llama::{Llama, Step},
    scratch::Scratch,
};
