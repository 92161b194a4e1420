//! Prints what a model says after "The capital of France is", word by word, and how long it took (on stderr).
//!
//! `cargo run --release -p realm-engine --example paris-generation -- MODEL.gguf`

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::Path,
    time::Instant,
};

use anyhow::Context;
use realm_engine::{
    engine::{
        Engine, EngineOptions, LogitsWanted, Model, ModelOptions, SequenceId, StepItem, TokenId,
    },
    sampler::{Sampler, SamplerParams},
    tokenizer::{SpecialTokens, StreamDecoder},
};

const PROMPT: &str = "The capital of France is";
const MAX_NEW_TOKENS: usize = 48;
const CONTEXT_TOKENS: usize = 256;

fn main() -> anyhow::Result<()> {
    let path = std::env::args_os().nth(1).context("usage: paris-generation MODEL.gguf")?;
    let model = Model::open(Path::new(&path), &ModelOptions::default())?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut engine = Engine::new(model, EngineOptions::new(threads, CONTEXT_TOKENS, 1))?;

    let prompt = engine.model().tokenizer().encode(PROMPT, SpecialTokens::Parse);
    let sequence = engine.new_sequence()?;
    let mut sampler = Sampler::new(SamplerParams { temperature: 0.0, ..SamplerParams::default() })?;

    print!("{PROMPT}");
    let started = Instant::now();
    let mut token = next(&mut engine, &mut sampler, sequence, &prompt)?;
    let prefill = started.elapsed();
    let mut decoder = StreamDecoder::new();
    let mut generated = 1;
    while !engine.model().tokenizer().is_end_of_generation(token) {
        print!("{}", decoder.push(engine.model().tokenizer(), token));
        io::stdout().flush()?;
        if generated == MAX_NEW_TOKENS {
            break;
        }
        token = next(&mut engine, &mut sampler, sequence, &[token])?;
        generated += 1;
    }
    println!("{}", decoder.finish());
    let decode = started.elapsed().saturating_sub(prefill);
    eprintln!("prefill: {} tokens in {prefill:.1?}", prompt.len());
    eprintln!(
        "decode:  {generated} tokens, {:.1} tokens/s",
        (generated - 1) as f64 / decode.as_secs_f64()
    );
    Ok(())
}

/// Adds tokens to the sequence and chooses the one that follows.
fn next(
    engine: &mut Engine,
    sampler: &mut Sampler,
    sequence: SequenceId,
    tokens: &[TokenId],
) -> anyhow::Result<TokenId> {
    let logits = engine.step(&[StepItem { sequence, tokens, logits: LogitsWanted::Last }])?;
    Ok(sampler.sample(logits.item(0)))
}
