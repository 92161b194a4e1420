//! Writes a GGUF file with the exact shape of a real model and random weights, to measure speed without a download:
//! `cargo run --release -p realm-engine --example synth -- SHAPE QUANT OUT.gguf [TOKENIZER.gguf]`.
//!
//! The blocks are real ones, quantized from normal noise of the size that keeps activations sane; the choice of formats
//! follows llama.cpp's quantizer. The tokenizer is that of TOKENIZER.gguf, or a bare byte vocabulary.

mod block_pool;
mod mix;
mod model;
mod shape;
mod vocabulary;
mod writer;

use std::path::PathBuf;

use anyhow::{Context, bail};

const USAGE: &str = "usage: synth SHAPE QUANT OUT.gguf [TOKENIZER.gguf]";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (shape, quant, out, tokenizer) = match arguments.as_slice() {
        [shape, quant, out] => (shape, quant, out, None),
        [shape, quant, out, tokenizer] => (shape, quant, out, Some(PathBuf::from(tokenizer))),
        _ => bail!("{USAGE}\nshapes: {}\nquants: {}", shape::names(), mix::names()),
    };
    let shape = shape::find(shape)
        .with_context(|| format!("no shape {shape}; there are {}", shape::names()))?;
    let mix = mix::find(quant)
        .with_context(|| format!("no quant {quant}; there are {}", mix::names()))?;
    let vocabulary = match tokenizer {
        Some(path) => vocabulary::of_file(&path)?,
        None => vocabulary::bytes(),
    };
    let out = PathBuf::from(out);
    let bytes = model::write(&out, &shape, mix, vocabulary)?;
    println!("{}: {bytes} bytes", out.display());
    Ok(())
}
