//! However tokens are cut into steps and whoever else is in them, a sequence gets its own logits; and an engine that
//! is asked for too much says so and goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

#[path = "support/demo_model.rs"]
mod demo_model;
#[path = "support/tiny_model.rs"]
mod tiny_model;

use std::{
    num::NonZeroUsize,
    sync::{Arc, LazyLock},
};

use demo_model::demo_model;
use realm_engine::{
    engine::{
        Engine, EngineError, EngineOptions, KvType, LogitsWanted, MAX_STEP_TOKENS, Model,
        ModelOptions, SequenceId, StepItem, TokenId,
    },
    tokenizer::SpecialTokens,
};
use tiny_model::TinyModel;

static DEMO: LazyLock<Arc<Model>> = LazyLock::new(|| {
    Model::open(&demo_model(), &ModelOptions::default()).expect("the demo model opens")
});

/// Logits of one sequence may differ by the order of float sums only.
const TOLERANCE: f32 = 1e-3;

fn engine(model: &Arc<Model>, threads: usize, context_length: usize, sequences: usize) -> Engine {
    let options =
        EngineOptions::new(NonZeroUsize::new(threads).unwrap(), context_length, sequences);
    Engine::new(Arc::clone(model), options).unwrap()
}

fn tiny() -> Arc<Model> {
    TinyModel::new().open().unwrap()
}

fn text(words: &str) -> Vec<TokenId> {
    DEMO.tokenizer().encode(words, SpecialTokens::AsText)
}

fn last(sequence: SequenceId, tokens: &[TokenId]) -> StepItem<'_> {
    StepItem { sequence, tokens, logits: LogitsWanted::Last }
}

/// The logits after the tokens, in steps of `piece`.
fn prefill(engine: &mut Engine, tokens: &[TokenId], piece: usize) -> Vec<f32> {
    let sequence = engine.new_sequence().unwrap();
    let mut row = Vec::new();
    for tokens in tokens.chunks(piece) {
        row = engine.step(&[last(sequence, tokens)]).unwrap().item(0).to_vec();
    }
    engine.free_sequence(sequence);
    row
}

fn assert_close(left: &[f32], right: &[f32], what: &str) {
    assert!(!left.is_empty() && left.len() == right.len(), "{what}");
    let largest = left.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < TOLERANCE, "{what}: logits differ by {largest}");
}

#[test]
fn pieces_of_a_prompt_give_the_logits_of_the_whole() {
    let tokens = text(&"The quick brown fox jumps over the lazy dog. ".repeat(8));
    let mut engine = engine(&DEMO, 2, 256, 1);
    let whole = prefill(&mut engine, &tokens, tokens.len());
    for piece in [1, 7, 32, 33] {
        assert_close(&prefill(&mut engine, &tokens, piece), &whole, &format!("pieces of {piece}"));
    }
}

#[test]
fn sequences_in_one_step_get_what_they_get_alone() {
    let prompts = [
        "The capital of France is",
        "1, 2, 3,",
        "def main():\n    ",
        "Once upon a time there was a",
    ]
    .map(text);
    let mut alone = engine(&DEMO, 2, 64, 1);
    let expected: Vec<Vec<f32>> =
        prompts.iter().map(|tokens| prefill(&mut alone, tokens, 64)).collect();
    let mut shared = engine(&DEMO, 2, 64, 4);
    let ids: Vec<SequenceId> = prompts.iter().map(|_| shared.new_sequence().unwrap()).collect();
    // The first prompt enters whole, the others but for a token, without asking for logits.
    let mut batch = vec![last(ids[0], &prompts[0])];
    for (&sequence, tokens) in ids[1..].iter().zip(&prompts[1..]) {
        batch.push(StepItem {
            sequence,
            tokens: &tokens[..tokens.len() - 1],
            logits: LogitsWanted::None,
        });
    }
    let logits = shared.step(&batch).unwrap();
    assert_close(logits.item(0), &expected[0], "beside three prefills");
    assert!((1..5).all(|item| logits.item(item).is_empty()));
    // Then the others decode one token together, in another order.
    let batch: Vec<StepItem<'_>> = [3, 1, 2]
        .map(|at| last(ids[at], &prompts[at][prompts[at].len() - 1..]))
        .into_iter()
        .collect();
    let logits = shared.step(&batch).unwrap();
    for (item, at) in [3, 1, 2].into_iter().enumerate() {
        assert_close(logits.item(item), &expected[at], &format!("prompt {at} decoding"));
    }
}

#[test]
fn rows_come_back_for_every_token_when_asked() {
    let tokens = text("Paris is the capital of");
    let mut engine = engine(&DEMO, 2, 64, 1);
    let sequence = engine.new_sequence().unwrap();
    let all = engine
        .step(&[StepItem { sequence, tokens: &tokens, logits: LogitsWanted::All }])
        .unwrap()
        .item(0)
        .to_vec();
    engine.free_sequence(sequence);
    let rows: Vec<&[f32]> = all.chunks_exact(DEMO.info().vocab_size).collect();
    assert_eq!(rows.len(), tokens.len());
    for (length, row) in (1..).zip(rows) {
        assert_close(row, &prefill(&mut engine, &tokens[..length], 64), &format!("row {length}"));
    }
}

#[test]
fn the_same_steps_give_the_same_bits() {
    let tokens = text("Determinism means that");
    let first = prefill(&mut engine(&DEMO, 2, 64, 1), &tokens, 3);
    let second = prefill(&mut engine(&DEMO, 2, 64, 1), &tokens, 3);
    assert_eq!(first, second);
    assert_close(&prefill(&mut engine(&DEMO, 1, 64, 1), &tokens, 3), &first, "one thread");
}

#[test]
fn a_slot_forgets_its_last_sequence() {
    let model = tiny();
    for kv_type in [KvType::F16, KvType::F32, KvType::Q8_0] {
        let options = EngineOptions { kv_type, ..EngineOptions::new(NonZeroUsize::MIN, 64, 1) };
        let mut fresh = Engine::new(Arc::clone(&model), options).unwrap();
        let mut used = Engine::new(Arc::clone(&model), options).unwrap();
        let secret: Vec<TokenId> = (0..60).collect();
        prefill(&mut used, &secret, 60);
        let question = [72, 105];
        assert_eq!(
            prefill(&mut used, &question, 1),
            prefill(&mut fresh, &question, 1),
            "{kv_type:?}"
        );
    }
}

#[test]
fn a_truncated_sequence_goes_on_as_if_the_rest_had_never_been() {
    let model = tiny();
    let mut engine = engine(&model, 1, 128, 2);
    let straight = engine.new_sequence().unwrap();
    engine.step(&[last(straight, &[1, 2, 3])]).unwrap();
    let expected = engine.step(&[last(straight, &[4])]).unwrap().item(0).to_vec();
    let sequence = engine.new_sequence().unwrap();
    engine.step(&[last(sequence, &[1, 2, 3])]).unwrap();
    engine.step(&[last(sequence, &[9; 70])]).unwrap();
    engine.truncate(sequence, 3).unwrap();
    assert_eq!(engine.sequence_len(sequence), 3);
    let found = engine.step(&[last(sequence, &[4])]).unwrap().item(0).to_vec();
    assert_eq!(found, expected);
    engine.free_sequence(sequence);
    let gone = EngineError::UnknownSequence { id: sequence };
    assert_eq!(engine.truncate(sequence, 0), Err(gone));
}

#[test]
fn a_neighbour_does_not_change_a_sequence() {
    let model = tiny();
    let run = |neighbour: &[TokenId]| {
        let mut engine = engine(&model, 1, 64, 2);
        let (mine, other) = (engine.new_sequence().unwrap(), engine.new_sequence().unwrap());
        engine.step(&[last(other, neighbour), last(mine, &[1, 2, 3])]).unwrap();
        engine.step(&[last(mine, &[4]), last(other, neighbour)]).unwrap().item(0).to_vec()
    };
    assert_eq!(run(&[10, 20, 30]), run(&[200, 100, 50]));
}

#[test]
fn a_context_fills_to_its_last_token_and_no_further() {
    let mut engine = engine(&tiny(), 1, 40, 2);
    let (sequence, other) = (engine.new_sequence().unwrap(), engine.new_sequence().unwrap());
    engine.step(&[last(sequence, &[1; 39])]).unwrap();
    let overflow = EngineError::ContextOverflow { length: 39, adding: 2, context_length: 40 };
    assert_eq!(engine.step(&[last(other, &[5]), last(sequence, &[1, 2])]).unwrap_err(), overflow);
    assert_eq!(
        (engine.sequence_len(sequence), engine.sequence_len(other)),
        (39, 0),
        "an error changes nothing"
    );
    engine.step(&[last(sequence, &[1])]).unwrap();
    assert_eq!(engine.sequence_len(sequence), 40);
    assert!(matches!(
        engine.step(&[last(sequence, &[1])]),
        Err(EngineError::ContextOverflow { .. })
    ));
    let message = overflow.to_string();
    assert!(message.contains("39") && message.contains("40"), "{message}");
}

#[test]
fn wrong_batches_are_refused() {
    let mut engine = engine(&tiny(), 1, 64, 2);
    let (one, freed) = (engine.new_sequence().unwrap(), engine.new_sequence().unwrap());
    assert_eq!(engine.new_sequence(), Err(EngineError::NoFreeSequence { sequences: 2 }));
    engine.free_sequence(freed);
    engine.free_sequence(freed);
    let mut refused = |batch: &[StepItem<'_>]| engine.step(batch).unwrap_err();
    assert_eq!(refused(&[last(freed, &[1])]), EngineError::UnknownSequence { id: freed });
    assert_eq!(refused(&[last(one, &[])]), EngineError::EmptyItem { index: 0 });
    assert_eq!(
        refused(&[last(one, &[1]), last(one, &[2])]),
        EngineError::RepeatedSequence { index: 1 }
    );
    assert_eq!(
        refused(&[last(one, &[258])]),
        EngineError::UnknownToken { token: 258, vocab_size: 258 }
    );
    let long = vec![1; MAX_STEP_TOKENS + 1];
    assert!(matches!(refused(&[last(one, &long)]), EngineError::StepTooLong { .. }));
    assert!(engine.step(&[]).unwrap().item(0).is_empty());
    assert_eq!(engine.step(&[last(one, &[1])]).unwrap().item(0).len(), 258);
}

#[test]
fn impossible_options_are_refused_with_both_numbers() {
    let model = tiny();
    let refused = |context_length, sequences| {
        Engine::new(
            Arc::clone(&model),
            EngineOptions::new(NonZeroUsize::MIN, context_length, sequences),
        )
        .unwrap_err()
    };
    let message = refused(129, 1).to_string();
    assert!(message.contains("129") && message.contains("128"), "{message}");
    assert!(matches!(refused(0, 1), EngineError::InvalidOption { option: "context_length", .. }));
    assert!(matches!(refused(64, 0), EngineError::InvalidOption { option: "sequences", .. }));
    assert!(matches!(
        refused(64, usize::MAX),
        EngineError::InvalidOption { option: "sequences", .. }
    ));
}

#[test]
fn memory_for_keys_and_values_is_told() {
    let engine = engine(&tiny(), 1, 64, 3);
    // 2 (keys, values) x 2 blocks x 16 numbers x 2 bytes x 64 tokens x 3 sequences.
    assert_eq!(engine.kv_bytes(), 2 * 2 * 16 * 2 * 64 * 3);
    assert_eq!(engine.context_length(), 64);
}
