//! The synthetic files that benchmarks run on are whole models: they open, and a step gives finite logits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

#[path = "../examples/synth/block_pool.rs"]
mod block_pool;
#[path = "../examples/synth/mix.rs"]
mod mix;
#[path = "../examples/synth/model.rs"]
mod model;
#[path = "synthetic_models/packed_store.rs"]
mod packed_store;
#[path = "../examples/synth/shape.rs"]
mod shape;
#[path = "../examples/synth/vocabulary.rs"]
mod vocabulary;
#[path = "../examples/synth/writer.rs"]
mod writer;

use std::{num::NonZeroUsize, path::Path, sync::Arc};

use realm_engine::engine::{
    Engine, EngineOptions, LogitsWanted, Model, ModelOptions, StepItem, TokenId,
};

/// Logits after a short prompt.
fn logits(model: Arc<Model>) -> Vec<f32> {
    let mut engine = Engine::new(model, EngineOptions::new(NonZeroUsize::MIN, 64, 1)).unwrap();
    let sequence = engine.new_sequence().unwrap();
    let tokens: Vec<TokenId> = (0..32).map(|token| token * 7).collect();
    let item = StepItem { sequence, tokens: &tokens, logits: LogitsWanted::Last };
    engine.step(&[item]).unwrap().item(0).to_vec()
}

/// Writes a model and returns its logits after a short prompt, and its format by name.
fn written(folder: &Path, shape: &str, quant: &str) -> (Vec<f32>, String) {
    let shape = shape::find(shape).unwrap();
    let path = folder.join(format!("{quant}.gguf"));
    model::write(&path, &shape, mix::find(quant).unwrap(), vocabulary::bytes()).unwrap();
    let model = Model::open(&path, &ModelOptions::default()).unwrap();
    let format = model.info().quantization.clone();
    (logits(model), format)
}

#[test]
fn every_mix_gives_a_model_with_sane_logits() {
    let folder = tempfile::tempdir().unwrap();
    for quant in mix::names().split(", ") {
        let (logits, format) = written(folder.path(), "tiny", quant);
        assert!(quant.starts_with(&format), "{quant} is mostly {format}");
        assert_eq!(logits.len(), 258, "{quant}");
        let squares: f32 = logits.iter().map(|logit| logit * logit).sum();
        let deviation = (squares / logits.len() as f32).sqrt();
        assert!((0.1..10.0).contains(&deviation), "{quant}: logits have deviation {deviation}");
    }
}

#[test]
fn mixes_follow_the_rules_of_llama_cpp() {
    use mix::Place::{Down, Embedding, Other, Output, Values};
    let format =
        |quant: &str, place, cols| mix::find(quant).unwrap().format(place, 32, cols).name();
    assert_eq!(format("Q4_K_M", Values(0), 4096), "Q6_K");
    assert_eq!(format("Q4_K_M", Down(4), 11_008), "Q4_K");
    assert_eq!(format("Q4_K_M", Down(6), 11_008), "Q6_K");
    assert_eq!(format("Q4_K_M", Down(28), 11_008), "Q6_K");
    assert_eq!(format("Q4_K_M", Other, 4096), "Q4_K");
    assert_eq!(format("Q4_0", Output, 2048), "Q6_K");
    assert_eq!(format("Q4_0", Embedding, 2048), "Q4_0");
    assert_eq!(format("Q8_0", Output, 2048), "Q8_0");
    assert_eq!(format("Q4_K", Other, 576), "Q5_0", "576 is no multiple of 256");
    assert_eq!(format("Q4_1", Output, 576), "Q8_0");
}

#[test]
fn shapes_divide_into_heads() {
    for name in shape::names().split(", ") {
        let shape = shape::find(name).unwrap();
        assert!(shape.embedding.is_multiple_of(shape.heads), "{name}");
        assert!(shape.heads.is_multiple_of(shape.kv_heads), "{name}");
    }
}

#[test]
fn a_copied_tokenizer_is_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    let shape = shape::find("tiny").unwrap();
    let mix = mix::find("Q4_0").unwrap();
    let (first, second) = (folder.path().join("1.gguf"), folder.path().join("2.gguf"));
    model::write(&first, &shape, mix, vocabulary::bytes()).unwrap();
    model::write(&second, &shape, mix, vocabulary::of_file(&first).unwrap()).unwrap();
    let open = |path: &Path| Model::open(path, &ModelOptions::default()).unwrap();
    let (first, second) = (open(&first), open(&second));
    let text = "cab\u{0}\u{1F600}";
    let encode = |model: &Model| {
        model.tokenizer().encode(text, realm_engine::tokenizer::SpecialTokens::Parse)
    };
    assert_eq!(encode(&first), encode(&second));
    assert_eq!(first.tokenizer().decode(&encode(&first)), text);
}
