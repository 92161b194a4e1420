//! Measures prefill and decode of a model and prints one line of JSON: tokens per second, least, median and most.
//!
//! `cargo run --release -p realm-engine --example speed -- MODEL.gguf [THREADS] [REPETITIONS] [prefill|decode|all] [FOLDER]`
//!
//! Prefill is 512 tokens in one step (pp512); decode is 64 tokens one by one after it from an empty context (tg64), as
//! llama-bench measures them. Packed weights are kept in the folder, or in memory without one. The tokens are arbitrary; speed does not depend on them.

use std::{num::NonZeroUsize, path::Path, time::Instant};

use anyhow::Context;
use realm_engine::engine::{
    Engine, EngineOptions, LogitsWanted, Model, ModelOptions, PackedIn, StepItem, TokenId,
};
use serde_json::{Value, json};

const PREFILL_TOKENS: usize = 512;
const DECODE_TOKENS: usize = 64;
const DEFAULT_REPETITIONS: usize = 5;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments
        .first()
        .context("usage: speed MODEL.gguf [THREADS] [REPETITIONS] [prefill|decode|all] [FOLDER]")?;
    let available = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads =
        arguments.get(1).map_or(Ok(available), |threads| threads.parse()).context("THREADS")?;
    let repetitions = arguments
        .get(2)
        .map_or(Ok(DEFAULT_REPETITIONS), |count| count.parse())
        .context("REPETITIONS")?;
    let packed =
        arguments.get(4).map_or(PackedIn::Memory, |folder| PackedIn::Folder(folder.into()));
    let options = ModelOptions { packed, ..ModelOptions::default() };
    let model = Model::open(Path::new(path), &options)?;
    eprintln!("packed weights: {:?}", model.packed());
    let kernels = model.kernels().name();
    let mut engine = Engine::new(model, EngineOptions::new(threads, PREFILL_TOKENS, 1))?;
    let tokens: Vec<TokenId> =
        (0..PREFILL_TOKENS as TokenId).map(|token| 1000 + token * 7).collect();
    // The first run reads the weights from disk.
    rate(&mut engine, &tokens[..32], 32)?;
    let only = arguments.get(3).map(String::as_str);
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    for _ in 0..repetitions {
        if only != Some("decode") {
            prefill.push(rate(&mut engine, &tokens, PREFILL_TOKENS)?);
        }
        if only != Some("prefill") {
            decode.push(rate(&mut engine, &tokens[..DECODE_TOKENS], 1)?);
        }
    }
    let result = json!({
        "engine": "realm", "threads": threads.get(), "kernels": kernels,
        "prefill_tokens_per_s": spread(&mut prefill), "decode_tokens_per_s": spread(&mut decode),
    });
    println!("{result}");
    Ok(())
}

/// Tokens per second of an empty sequence that grows by `piece` tokens a step.
fn rate(engine: &mut Engine, tokens: &[TokenId], piece: usize) -> anyhow::Result<f64> {
    let sequence = engine.new_sequence()?;
    let started = Instant::now();
    for tokens in tokens.chunks(piece) {
        engine.step(&[StepItem { sequence, tokens, logits: LogitsWanted::Last }])?;
    }
    let elapsed = started.elapsed();
    engine.free_sequence(sequence);
    Ok(tokens.len() as f64 / elapsed.as_secs_f64())
}

fn spread(rates: &mut [f64]) -> Value {
    rates.sort_by(f64::total_cmp);
    let at = |index: usize| rates.get(index).map(|rate| (rate * 10.0).round() / 10.0);
    json!({ "min": at(0), "median": at(rates.len() / 2), "max": at(rates.len().saturating_sub(1)) })
}
