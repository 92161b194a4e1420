//! What constrained decoding costs for a model's vocabulary: the index, compiling, and the mask of each token, over texts
//! that a random model says under each grammar.
//!
//!     cargo run --release -p realm-engine-server --example mask-bench -- MODEL.gguf

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use realm_engine::{
    engine::{Model, ModelOptions, TokenId},
    sampler::{Sampler, SamplerParams},
};
use realm_engine_server::constraint::{Constraint, Constraints, Grammar, SchemaRules};
use serde_json::json;

/// Texts for each grammar.
const TEXTS: u64 = 40;
/// Tokens of a text, at most.
const TOKENS: usize = 200;
/// Compilations that are timed.
const COMPILATIONS: usize = 20;

fn main() -> anyhow::Result<()> {
    let path: PathBuf = std::env::args_os().nth(1).context("usage: mask-bench MODEL.gguf")?.into();
    let model = Model::open(&path, &ModelOptions::default())?;
    let constraints = Constraints::new(Arc::clone(&model));
    let started = Instant::now();
    constraints.prepare()?;
    println!("tokens            {:>10}", model.info().vocab_size);
    println!("index             {:>10.1} ms", millis(started.elapsed()));
    println!(
        "{:<17} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "grammar", "compile ms", "masks", "mean us", "p50 us", "p99 us", "max us", "forced %"
    );
    for (name, grammar) in grammars()? {
        let mut compiling: Vec<Duration> = Vec::new();
        let mut constraint = constraints.compile(&grammar, None)?;
        for _ in 0..COMPILATIONS {
            let started = Instant::now();
            constraint = constraints.compile(&grammar, None)?;
            compiling.push(started.elapsed());
        }
        compiling.sort_unstable();
        let mut run = Run::default();
        for seed in 0..TEXTS {
            run.say(&model, constraint.clone(), seed)?;
        }
        run.report(name, compiling[compiling.len() / 2]);
    }
    Ok(())
}

fn grammars() -> anyhow::Result<Vec<(&'static str, Grammar)>> {
    let person = json!({
        "type": "object", "additionalProperties": false, "required": ["name", "age", "address", "tags"],
        "properties": {
            "name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 130},
            "address": {
                "type": "object", "additionalProperties": false, "required": ["street", "city"],
                "properties": {"street": {"type": "string"}, "city": {"type": "string", "maxLength": 40}}
            },
            "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 5}
        }
    });
    let pattern = json!({"type": "string", "pattern": "^[A-Z][a-z]+( [A-Z][a-z]+)*$"});
    Ok(vec![
        ("schema", Grammar::json_schema(person, SchemaRules::Strict)?),
        ("schema, pattern", Grammar::json_schema(pattern, SchemaRules::Plain)?),
        ("json_object", Grammar::json_object()),
        ("regex", Grammar::regex("[a-z]+(, [a-z]+){3,8}\\.".into())?),
        (
            "lark",
            Grammar::lark(
                "start: t (OP t)*\nt: N | \"(\" start \")\"\nOP: /[-+*\\/]/\nN: /[0-9]{1,4}/\n"
                    .into(),
            )?,
        ),
    ])
}

#[derive(Default)]
struct Run {
    masks: Vec<Duration>,
    forced: usize,
}

impl Run {
    /// One text: any token is as likely as any other, but those that close something are likelier.
    fn say(&mut self, model: &Model, mut constraint: Constraint, seed: u64) -> anyhow::Result<()> {
        let sampling = SamplerParams { seed: Some(seed), ..SamplerParams::default() };
        let mut sampler = Sampler::new(sampling)?;
        let tokenizer = model.tokenizer();
        let closes = |token: TokenId| {
            matches!(tokenizer.token_bytes(token), Some(b"\"" | b"]" | b"}" | b"\"}" | b"\","))
        };
        let logits: Vec<f32> = (0..model.info().vocab_size as TokenId)
            .map(|token| if closes(token) { 7.0 } else { 0.0 })
            .collect();
        for _ in 0..TOKENS {
            self.forced += constraint.forced()?.len();
            if constraint.is_over() {
                return Ok(());
            }
            let started = Instant::now();
            let mask = constraint.allowed()?;
            self.masks.push(started.elapsed());
            let mask = mask.context("a grammar without a trigger has a mask for every token")?;
            let token = sampler.sample_among(&logits, mask.words());
            constraint.accept(token)?;
            if tokenizer.is_end_of_generation(token) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn report(mut self, name: &str, compiling: Duration) {
        self.masks.sort_unstable();
        let count = self.masks.len().max(1);
        let at = |part: usize| self.masks.get(count * part / 100).copied().unwrap_or_default();
        let mean = self.masks.iter().sum::<Duration>() / count as u32;
        let forced = 100.0 * self.forced as f64 / (self.forced + count) as f64;
        println!(
            "{name:<17} {:>10.2} {count:>8} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {forced:>8.1}",
            millis(compiling),
            micros(mean),
            micros(at(50)),
            micros(at(99)),
            micros(self.masks.last().copied().unwrap_or_default()),
        );
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
