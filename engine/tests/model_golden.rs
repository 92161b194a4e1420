//! The real model gives the logits and the greedy text that llama.cpp gives. Made by reference/golden_logits.py, which
//! says under which settings.
//!
//! The reference's tokens are fed one at a time (teacher forcing): the greedy text is the same for 200 tokens exactly
//! when the largest logit is the reference's at each of the 200 positions.

#[path = "support/demo_model.rs"]
mod demo_model;

use std::num::NonZeroUsize;

use demo_model::demo_model;
use realm_engine::{
    engine::{Engine, EngineOptions, KernelChoice, KvType, LogitsWanted, Model, ModelOptions, StepItem, TokenId},
    sampler::log_probability,
    tokenizer::SpecialTokens,
};
use serde::Deserialize;

/// Mean KL divergence over all rows that is accepted, in nats.
const MAX_MEAN_KL: f64 = 1e-3;
/// Prompts whose 200 tokens must be the reference's. The others may differ only at near ties.
const MIN_IDENTICAL: usize = 10;
/// A reference gap between the two best logits under which rounding may turn them round.
const NEAR_TIE_LOGITS: f32 = 0.15;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    prompt: String,
    prompt_tokens: Vec<TokenId>,
    generated: Vec<TokenId>,
    gaps: Vec<f32>,
    rows: Vec<Row>,
}

/// The most likely tokens after `position` tokens.
#[derive(Deserialize)]
struct Row {
    position: usize,
    tokens: Vec<TokenId>,
    log_probabilities: Vec<f32>,
}

/// What the engine made of a case.
#[derive(Default)]
struct Outcome {
    /// KL divergence at each row.
    divergences: Vec<f64>,
    /// Generated positions at which another token is the most likely, with the reference's gap there.
    disagreements: Vec<(usize, f32)>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/logits.json")).expect("the golden file is whole")
}

/// Runs a case for `tokens` generated tokens.
fn run(case: &Case, kernels: KernelChoice, kv_type: KvType, tokens: usize) -> Outcome {
    let model = Model::open(&demo_model(), &ModelOptions { kernels }).expect("the demo model opens");
    let vocab_size = model.info().vocab_size;
    assert_eq!(model.tokenizer().encode(&case.prompt, SpecialTokens::Parse), case.prompt_tokens, "{}", case.name);
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = EngineOptions { threads, context_length: 512, sequences: 1, kv_type };
    let mut engine = Engine::new(model, options).expect("an engine");
    let sequence = engine.new_sequence().expect("a sequence");
    let mut outcome = Outcome::default();
    for step in 0..tokens {
        let (first, fed) = match step.checked_sub(1) {
            None => (1, &case.prompt_tokens[..]),
            Some(before) => (case.prompt_tokens.len() + step, &case.generated[before..step]),
        };
        let logits = engine.step(&[StepItem { sequence, tokens: fed, logits: LogitsWanted::All }]).expect("a step");
        for (position, row) in (first..).zip(logits.item(0).chunks_exact(vocab_size)) {
            outcome.compare_row(case, position, row);
        }
        let last = logits.item(0).chunks_exact(vocab_size).next_back().expect("a row");
        outcome.compare_choice(case, step, last);
    }
    outcome
}

impl Outcome {
    fn compare_row(&mut self, case: &Case, position: usize, logits: &[f32]) {
        if let Some(row) = case.rows.iter().find(|row| row.position == position) {
            self.divergences.push(divergence(row, logits));
        }
    }

    fn compare_choice(&mut self, case: &Case, step: usize, logits: &[f32]) {
        let largest = (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("a logit");
        if largest as TokenId != case.generated[step] {
            self.disagreements.push((step, case.gaps[step]));
        }
    }

    fn mean_divergence(&self) -> f64 {
        self.divergences.iter().sum::<f64>() / self.divergences.len() as f64
    }
}

/// KL divergence of ours from the reference's distribution. The tokens that the reference does not list count as one.
fn divergence(row: &Row, logits: &[f32]) -> f64 {
    let (mut sum, mut reference_rest, mut our_rest) = (0.0, 1.0, 1.0);
    for (&token, &reference) in row.tokens.iter().zip(&row.log_probabilities) {
        let ours = f64::from(log_probability(logits, token).expect("a token of the vocabulary"));
        let reference = f64::from(reference);
        sum += reference.exp() * (reference - ours);
        reference_rest -= reference.exp();
        our_rest -= ours.exp();
    }
    if reference_rest > 1e-6 && our_rest > 1e-6 {
        sum += reference_rest * (reference_rest / our_rest).ln();
    }
    sum
}

/// Runs cases and checks them; returns how many agree throughout.
fn check(cases: &[Case], kernels: KernelChoice, kv_type: KvType, tokens: usize) -> usize {
    let mut divergences = Vec::new();
    let mut identical = 0;
    for case in cases {
        let outcome = run(case, kernels, kv_type, tokens);
        println!("{}: mean KL {:.2e}, differs at {:?}", case.name, outcome.mean_divergence(), outcome.disagreements);
        for &(step, gap) in &outcome.disagreements {
            assert!(gap < NEAR_TIE_LOGITS, "{}: token {step} differs at a gap of {gap} logits", case.name);
        }
        identical += usize::from(outcome.disagreements.is_empty());
        divergences.extend(outcome.divergences);
    }
    let mean = divergences.iter().sum::<f64>() / divergences.len() as f64;
    println!("{kernels:?}: {identical} of {} identical for {tokens} tokens, mean KL {mean:.3e}", cases.len());
    assert!(mean.is_finite() && mean < MAX_MEAN_KL, "mean KL {mean}");
    identical
}

#[test]
fn greedy_text_and_distributions_agree_with_llama_cpp() {
    let golden = golden();
    assert!(golden.cases.len() >= 12 && golden.cases.iter().all(|case| case.generated.len() == 200));
    let identical = check(&golden.cases, KernelChoice::Auto, KvType::F16, 200);
    assert!(identical >= MIN_IDENTICAL, "only {identical} prompts agree for 200 tokens");
}

#[test]
fn scalar_kernels_agree_too() {
    let identical = check(&golden().cases[..4], KernelChoice::Scalar, KvType::F16, 12);
    assert_eq!(identical, 4, "of 4 prompts, for 12 tokens");
}

#[test]
fn single_precision_keys_and_values_are_as_close() {
    let identical = check(&golden().cases[..2], KernelChoice::Auto, KvType::F32, 100);
    assert!(identical >= 1, "of 2 prompts, for 100 tokens");
}
