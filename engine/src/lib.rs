//! Realm's inference engine: reads GGUF files, multiplies quantized weights on the CPU and turns tokens into logits.
//!
//! Pure by design: no async runtime, no HTTP, no Kubernetes. [`engine`] is the one door; everything below it may be
//! used alone in tests and tools. Layers: gguf, quant, team < kernels < ops < model < engine < speculation.
#![deny(unsafe_code)]
#![deny(missing_docs)]

pub mod chat_template;
pub mod engine;
pub mod gguf;
pub mod kernels;
pub mod kv_cache;
pub mod model;
pub mod ops;
pub mod quant;
pub mod sampler;
pub mod speculation;
pub mod team;
pub mod tokenizer;
pub mod weights;
