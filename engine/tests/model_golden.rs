//! The real model gives the logits and the greedy text that llama.cpp gives. Made by reference/golden_logits.py, which
//! says under which settings, and why the exact run is the reference.
//!
//! The reference's tokens are fed (teacher forcing): the greedy text is the same for 200 tokens exactly when the
//! largest logit is the reference's at each of the 200 positions. All prompts run side by side in one engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

#[path = "support/demo_model.rs"]
mod demo_model;

use std::num::NonZeroUsize;

use demo_model::demo_model;
use realm_engine::{
    engine::{
        Engine, EngineOptions, KernelChoice, KvType, LogitsWanted, Model, ModelOptions, Precision,
        SequenceId, StepItem, TokenId,
    },
    sampler::log_probability,
    tokenizer::SpecialTokens,
};
use serde_json::Value;

struct Case {
    name: String,
    prompt: String,
    prompt_tokens: Vec<TokenId>,
    generated: Vec<TokenId>,
    /// How far the second largest logit was below the largest, before each generated token.
    gaps: Vec<f64>,
    rows: Vec<Row>,
}

/// The most likely tokens after `position` tokens.
struct Row {
    position: usize,
    tokens: Vec<TokenId>,
    log_probabilities: Vec<f64>,
}

/// What the engine made of a case.
#[derive(Default)]
struct Outcome {
    /// KL divergence at each row, in nats.
    divergences: Vec<f64>,
    /// Generated positions at which another token is the most likely, with the reference's gap there.
    disagreements: Vec<(usize, f64)>,
}

/// What the engine made of all cases.
struct Summary {
    identical: usize,
    mean_divergence: f64,
    agreement: f64,
    largest_gap: f64,
}

fn golden() -> (Value, Vec<Case>) {
    let golden: Value =
        serde_json::from_str(include_str!("golden/logits.json")).expect("the golden file is whole");
    let cases: Vec<Case> =
        golden["cases"].as_array().expect("cases").iter().map(Case::read).collect();
    assert!(cases.len() >= 12 && cases.iter().all(|case| case.generated.len() == 200));
    (golden, cases)
}

fn ids(value: &Value) -> Vec<TokenId> {
    value.as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id") as TokenId).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .expect("numbers")
        .iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

impl Case {
    fn read(value: &Value) -> Self {
        let row = |row: &Value| Row {
            position: row["position"].as_u64().expect("a position") as usize,
            tokens: ids(&row["tokens"]),
            log_probabilities: numbers(&row["log_probabilities"]),
        };
        Self {
            name: value["name"].as_str().expect("a name").to_owned(),
            prompt: value["prompt"].as_str().expect("a prompt").to_owned(),
            prompt_tokens: ids(&value["prompt_tokens"]),
            generated: ids(&value["generated"]),
            gaps: numbers(&value["gaps"]),
            rows: value["rows"].as_array().expect("rows").iter().map(row).collect(),
        }
    }

    /// What is fed before generated token `step`, and the position after its first token.
    fn fed(&self, step: usize) -> (&[TokenId], usize) {
        match step.checked_sub(1) {
            None => (&self.prompt_tokens, 1),
            Some(before) => (&self.generated[before..step], self.prompt_tokens.len() + step),
        }
    }
}

/// Runs the cases side by side for `tokens` generated tokens.
fn run(cases: &[Case], options: &ModelOptions, kv_type: KvType, tokens: usize) -> Vec<Outcome> {
    let model = Model::open(&demo_model(), options).expect("the demo model opens");
    let vocab_size = model.info().vocab_size;
    for case in cases {
        assert_eq!(
            model.tokenizer().encode(&case.prompt, SpecialTokens::Parse),
            case.prompt_tokens,
            "{}",
            case.name
        );
    }
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = EngineOptions { kv_type, ..EngineOptions::new(threads, 512, cases.len()) };
    let mut engine = Engine::new(model, options).expect("an engine");
    let sequences: Vec<SequenceId> =
        cases.iter().map(|_| engine.new_sequence().expect("a sequence")).collect();
    let mut outcomes: Vec<Outcome> = cases.iter().map(|_| Outcome::default()).collect();
    for step in 0..tokens {
        let item = |(case, &sequence)| StepItem {
            sequence,
            tokens: Case::fed(case, step).0,
            logits: LogitsWanted::All,
        };
        let batch: Vec<StepItem<'_>> = cases.iter().zip(&sequences).map(item).collect();
        let logits = engine.step(&batch).expect("a step");
        for (item, (case, outcome)) in cases.iter().zip(&mut outcomes).enumerate() {
            outcome.compare(case, step, logits.item(item), vocab_size);
        }
    }
    outcomes
}

impl Outcome {
    fn compare(&mut self, case: &Case, step: usize, logits: &[f32], vocab_size: usize) {
        let rows: Vec<&[f32]> = logits.chunks_exact(vocab_size).collect();
        for (position, logits) in (case.fed(step).1..).zip(&rows) {
            if let Some(row) = case.rows.iter().find(|row| row.position == position) {
                self.divergences.push(divergence(row, logits));
            }
        }
        let last = rows.last().expect("a row");
        let largest =
            (0..vocab_size).rev().max_by(|&a, &b| last[a].total_cmp(&last[b])).expect("a logit");
        if largest as TokenId != case.generated[step] {
            self.disagreements.push((step, case.gaps[step]));
        }
    }
}

/// KL divergence of ours from the reference's distribution. The tokens that the reference does not list count as one.
fn divergence(row: &Row, logits: &[f32]) -> f64 {
    let (mut sum, mut reference_rest, mut our_rest) = (0.0, 1.0, 1.0);
    for (&token, &reference) in row.tokens.iter().zip(&row.log_probabilities) {
        let ours = f64::from(log_probability(logits, token).expect("a token of the vocabulary"));
        sum += reference.exp() * (reference - ours);
        reference_rest -= reference.exp();
        our_rest -= ours.exp();
    }
    if reference_rest > 1e-6 && our_rest > 1e-6 {
        sum += reference_rest * (reference_rest / our_rest).ln();
    }
    sum
}

fn summary(what: &str, cases: &[Case], outcomes: &[Outcome], tokens: usize) -> Summary {
    for (case, outcome) in cases.iter().zip(outcomes) {
        println!("{}: differs at (token, gap) {:?}", case.name, outcome.disagreements);
    }
    let divergences: Vec<f64> =
        outcomes.iter().flat_map(|outcome| outcome.divergences.iter().copied()).collect();
    let disagreements: Vec<f64> =
        outcomes.iter().flat_map(|outcome| &outcome.disagreements).map(|&(_, gap)| gap).collect();
    let summary = Summary {
        identical: outcomes.iter().filter(|outcome| outcome.disagreements.is_empty()).count(),
        mean_divergence: divergences.iter().sum::<f64>() / divergences.len() as f64,
        agreement: 1.0 - disagreements.len() as f64 / (cases.len() * tokens) as f64,
        largest_gap: disagreements.iter().copied().fold(0.0, f64::max),
    };
    println!(
        "{what}: {} of {} prompts identical for {tokens} tokens, {:.4} of all tokens, mean KL {:.3e}, largest gap {}",
        summary.identical,
        cases.len(),
        summary.agreement,
        summary.mean_divergence,
        summary.largest_gap
    );
    summary
}

/// The weights of the file, multiplied without rounding activations: the same function as the reference's.
#[test]
fn greedy_text_and_distributions_are_those_of_llama_cpp() {
    let (_, cases) = golden();
    let options = ModelOptions { precision: Precision::Exact, ..ModelOptions::default() };
    let summary = summary("exact", &cases, &run(&cases, &options, KvType::F32, 200), 200);
    assert!(summary.identical >= 10, "only {} prompts agree for 200 tokens", summary.identical);
    assert!(
        summary.largest_gap < 0.01,
        "differs where the choice is clear, by {} logits",
        summary.largest_gap
    );
    assert!(summary.mean_divergence < 1e-5, "mean KL {}", summary.mean_divergence);
}

/// The fast way rounds activations to 8 bits, as llama.cpp does: it may lose what that loses, and no more.
#[test]
fn the_fast_way_loses_no_more_than_llama_cpp_loses() {
    let (golden, cases) = golden();
    let summary =
        summary("fast", &cases, &run(&cases, &ModelOptions::default(), KvType::F16, 200), 200);
    let theirs = |key: &str| golden[key].as_f64().expect("a number");
    println!(
        "llama.cpp: mean KL {:.3e}, {:.4} of all tokens",
        theirs("quantized_mean_kl"),
        theirs("quantized_agreement")
    );
    assert!(
        summary.mean_divergence < 1.3 * theirs("quantized_mean_kl"),
        "mean KL {}",
        summary.mean_divergence
    );
    assert!(
        summary.agreement > theirs("quantized_agreement") - 0.01,
        "{} of all tokens",
        summary.agreement
    );
}

/// The scalar reference is slow; fewer prompts and tokens.
#[test]
fn scalar_kernels_are_as_close() {
    let (golden, cases) = golden();
    let options = ModelOptions { kernels: KernelChoice::Scalar, ..ModelOptions::default() };
    let summary = summary("scalar", &cases[..4], &run(&cases[..4], &options, KvType::F16, 4), 4);
    let theirs = golden["quantized_mean_kl"].as_f64().expect("a number");
    assert!(summary.mean_divergence < 3.0 * theirs, "mean KL {}", summary.mean_divergence);
    assert!(summary.agreement > 0.8, "{} of all tokens", summary.agreement);
}
