//! Each family gives the logits, or the vectors, that llama.cpp gives for the same tiny model. The models are written
//! here (support/families.rs) and by `--example tiny-families` for the reference; reference/golden_families.py says
//! under which settings it runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

#[path = "support/families.rs"]
mod families;
#[path = "support/tiny_model.rs"]
mod tiny_model;

use std::{num::NonZeroUsize, sync::Arc};

use families::{CONTEXT, Case, PROMPT_TOKENS, cases, prompt};
use realm_engine::engine::{
    Engine, EngineError, EngineOptions, KvType, LogitsWanted, Model, ModelOptions, Precision,
    StepItem, Task, TokenId,
};
use serde_json::Value;
use tiny_model::{Meta, TinyModel, VOCABULARY};

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/families.json")).expect("the golden file is whole")
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("numbers");
    list.iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn open(model: &TinyModel, precision: Precision) -> Arc<Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model.write(&path);
    Model::open(&path, &ModelOptions { precision, ..ModelOptions::default() }).unwrap()
}

fn engine(model: &TinyModel, precision: Precision) -> Engine {
    let options = EngineOptions {
        kv_type: KvType::F32,
        ..EngineOptions::new(NonZeroUsize::new(2).unwrap(), CONTEXT, 4)
    };
    Engine::new(open(model, precision), options).unwrap()
}

/// Rows of logits after each token of the prompt, which comes in pieces of these sizes.
fn logits(engine: &mut Engine, prompt: &[TokenId], pieces: &[usize]) -> Vec<f32> {
    let sequence = engine.new_sequence().unwrap();
    let (mut rows, mut rest) = (Vec::new(), prompt);
    for &piece in pieces {
        let (tokens, later) = rest.split_at(piece.min(rest.len()));
        let item = StepItem { sequence, tokens, logits: LogitsWanted::All };
        rows.extend_from_slice(engine.step(&[item]).unwrap().item(0));
        rest = later;
    }
    engine.free_sequence(sequence);
    rows
}

/// The largest difference of two rows in units of the second's standard deviation.
fn distance(found: &[f32], reference: &[f64]) -> f64 {
    assert_eq!(found.len(), reference.len());
    let mean = reference.iter().sum::<f64>() / reference.len() as f64;
    let variance = reference.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    let deviation = (variance / reference.len() as f64).sqrt();
    let differences = found.iter().zip(reference).map(|(&a, b)| (f64::from(a) - b).abs());
    differences.fold(0.0, f64::max) / deviation
}

/// The worst distance of a case from the reference.
fn worst(case: &Case, golden: &Value) -> f64 {
    let precision = if case.name.ends_with("q8_0") { Precision::Fast } else { Precision::Exact };
    let mut engine = engine(&case.model, precision);
    let reference = &golden["cases"][case.name];
    let every = golden["every"].as_u64().unwrap() as usize;
    if engine.model().info().task == Task::Embed {
        let vector = engine.embed(&[&prompt()]).unwrap().remove(0);
        let kept: Vec<f32> = vector.into_iter().step_by(every).collect();
        return distance(&kept, &numbers(&reference["vector"]));
    }
    let rows = logits(&mut engine, &prompt(), &[40, 1, 1, PROMPT_TOKENS]);
    let positions = reference["positions"].as_object().expect("positions");
    assert!(positions.len() >= 4);
    let distances = positions.iter().map(|(position, reference)| {
        let position: usize = position.parse().unwrap();
        let row = &rows[position * VOCABULARY..(position + 1) * VOCABULARY];
        let kept: Vec<f32> = row.iter().copied().step_by(every).collect();
        distance(&kept, &numbers(reference))
    });
    distances.fold(0.0, f64::max)
}

#[test]
fn every_family_computes_what_llama_cpp_computes() {
    let golden = golden();
    let cases = cases();
    assert_eq!(golden["cases"].as_object().unwrap().len(), cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let found = worst(case, &golden);
        println!("{}: {found:.2e} of {:.0e}", case.name, case.tolerance);
        if found.is_nan() || found > case.tolerance {
            wrong.push(format!("{}: {found:.3e}", case.name));
        }
    }
    assert!(wrong.is_empty(), "too far from the reference: {wrong:?}");
}

#[test]
fn every_family_says_what_it_is_for() {
    for case in cases() {
        let model = open(&case.model, Precision::Exact);
        let embeds = case.name.contains("bert");
        assert_eq!(model.info().task == Task::Embed, embeds, "{}", case.name);
    }
}

fn case(name: &str) -> TinyModel {
    cases().into_iter().find(|case| case.name == name).unwrap().model
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// llama.cpp does not honour the window of these two; the papers and the first implementations do.
#[test]
fn windows_hide_what_is_further_back() {
    for (name, key) in
        [("llama", "llama.attention.sliding_window"), ("phi3", "phi3.attention.sliding_window")]
    {
        let plain = logits(&mut engine(&case(name), Precision::Exact), &prompt(), &[PROMPT_TOKENS]);
        let windowed = |window| {
            let mut model = case(name);
            model.set(key, Meta::U32(window));
            logits(&mut engine(&model, Precision::Exact), &prompt(), &[30, 10, PROMPT_TOKENS])
        };
        assert!(apart(&plain, &windowed(PROMPT_TOKENS as u32)) < 1e-3, "{name}: all fits");
        let narrow = windowed(16);
        let first = 16 * VOCABULARY;
        assert!(apart(&plain[..first], &narrow[..first]) < 1e-3, "{name}: inside the window");
        assert!(apart(&plain[first..first + 100], &narrow[first..first + 100]) > 1e-2, "{name}");
    }
}

#[test]
fn a_window_reaches_so_far_and_no_further() {
    let mut model = case("llama");
    model.set("llama.block_count", Meta::U32(1));
    model
        .tensors
        .retain(|tensor| !tensor.name.starts_with("blk.1.") && !tensor.name.starts_with("blk.2."));
    model.set("llama.attention.sliding_window", Meta::U32(20));
    let mut engine = engine(&model, Precision::Exact);
    let last = |engine: &mut Engine, prompt: &[TokenId]| {
        let rows = logits(engine, prompt, &[PROMPT_TOKENS]);
        rows[rows.len() - VOCABULARY..].to_vec()
    };
    let plain = last(&mut engine, &prompt());
    let mut changed = prompt();
    changed[PROMPT_TOKENS - 21] ^= 1;
    assert_eq!(plain, last(&mut engine, &changed), "one block sees 20 tokens");
    changed[PROMPT_TOKENS - 20] ^= 1;
    assert_ne!(plain, last(&mut engine, &changed), "the furthest of 20 tokens is seen");
}

#[test]
fn texts_are_embedded_together_as_they_are_alone() {
    let all = prompt();
    let texts = [&all[..], &all[..1], &all[3..40], &all[10..12], &all[5..70], &all[..33]];
    for name in ["bert", "bert-cls", "nomic-bert", "llama", "gemma3"] {
        let mut engine = engine(&case(name), Precision::Exact);
        let together = engine.embed(&texts).unwrap();
        assert_eq!(together.len(), texts.len());
        for (text, together) in texts.iter().zip(&together) {
            let alone = engine.embed(&[text]).unwrap().remove(0);
            assert!(apart(&alone, together) < 1e-5, "{name}: {} tokens", text.len());
        }
        assert!(apart(&together[0], &together[4]) > 1e-3, "{name}: texts differ");
        engine.new_sequence().expect("embedding leaves no sequence behind");
    }
}

#[test]
fn a_decoder_embeds_by_the_pooling_that_its_file_names() {
    let vector = |pooling| {
        let mut model = case("llama");
        model.set("llama.pooling_type", Meta::U32(pooling));
        engine(&model, Precision::Exact).embed(&[&prompt()]).unwrap().remove(0)
    };
    let (mean, first, last) = (vector(1), vector(2), vector(3));
    assert!(apart(&mean, &last) > 1e-2 && apart(&first, &last) > 1e-2);
    let unnamed = engine(&case("llama"), Precision::Exact).embed(&[&prompt()]).unwrap().remove(0);
    assert_eq!(unnamed, last);
}

#[test]
fn an_encoder_does_not_generate() {
    let mut engine = engine(&case("bert"), Precision::Exact);
    let sequence = engine.new_sequence().unwrap();
    let item = StepItem { sequence, tokens: &[1, 2], logits: LogitsWanted::Last };
    let error = engine.step(&[item]).unwrap_err();
    assert_eq!(error, EngineError::NotGenerative { architecture: "bert" });
    assert!(error.to_string().contains("bert") && error.to_string().contains("embed"));
}

#[test]
fn texts_that_cannot_be_embedded_are_refused_whole() {
    let mut engine = engine(&case("bert"), Precision::Exact);
    let long = vec![1; CONTEXT + 1];
    assert!(matches!(engine.embed(&[&[1], &[]]), Err(EngineError::EmptyItem { index: 1 })));
    assert!(matches!(
        engine.embed(&[&long]),
        Err(EngineError::ContextOverflow { adding: 129, .. })
    ));
    let unknown = engine.embed(&[&[VOCABULARY as u32]]);
    assert!(matches!(unknown, Err(EngineError::UnknownToken { token: 258, .. })));
    for _ in 0..4 {
        engine.new_sequence().unwrap();
    }
    assert!(matches!(engine.embed(&[&[1]]), Err(EngineError::NoFreeSequence { sequences: 4 })));
}
