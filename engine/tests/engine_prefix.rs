//! Sequences that share what was computed before: their logits are those of sequences that computed it themselves, nothing
//! is shared between salts, and a pool that runs out says so before anything changes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

#[path = "support/tiny_model.rs"]
mod tiny_model;

use std::{num::NonZeroUsize, sync::Arc};

use realm_engine::engine::{
    Engine, EngineError, EngineOptions, KvType, LogitsWanted, Model, PAGE_TOKENS, PrefixSalt,
    SequenceId, StepItem, TokenId,
};
use tiny_model::TinyModel;

const TYPES: [KvType; 3] = [KvType::F16, KvType::F32, KvType::Q8_0];

fn tiny() -> Arc<Model> {
    TinyModel::new().open().unwrap()
}

fn options(kv_type: KvType, sequences: usize) -> EngineOptions {
    EngineOptions { kv_type, ..EngineOptions::new(NonZeroUsize::MIN, 128, sequences) }
}

fn engine(model: &Arc<Model>, kv_type: KvType) -> Engine {
    Engine::new(Arc::clone(model), options(kv_type, 4)).unwrap()
}

fn tenant(name: &str) -> PrefixSalt {
    PrefixSalt::Private(name.into())
}

/// 100 tokens that do not repeat soon.
fn prompt() -> Vec<TokenId> {
    (0..100_u32).map(|at| (at * at * 7 + at) % 250).collect()
}

fn feed(engine: &mut Engine, sequence: SequenceId, tokens: &[TokenId]) -> Vec<f32> {
    let item = StepItem { sequence, tokens, logits: LogitsWanted::Last };
    engine.step(&[item]).unwrap().item(0).to_vec()
}

/// The logits after each piece, computed by a sequence alone in an engine of its own.
fn alone(model: &Arc<Model>, kv_type: KvType, pieces: &[&[TokenId]]) -> Vec<f32> {
    let mut engine = engine(model, kv_type);
    let sequence = engine.new_sequence().unwrap();
    pieces.iter().map(|piece| feed(&mut engine, sequence, piece)).last().unwrap()
}

#[test]
fn a_shared_prefix_gives_the_same_bits() {
    let (model, prompt) = (tiny(), prompt());
    for kv_type in TYPES {
        let expected = alone(&model, kv_type, &[&prompt[..64], &prompt[64..]]);
        let mut engine = engine(&model, kv_type);
        let (owner, reused) = engine.new_sequence_with_prefix(tenant("a"), &prompt).unwrap();
        assert_eq!(reused, 0);
        feed(&mut engine, owner, &prompt[..64]);
        // While its owner goes on.
        let (second, reused) = engine.new_sequence_with_prefix(tenant("a"), &prompt).unwrap();
        assert_eq!((reused, engine.sequence_len(second)), (64, 64));
        feed(&mut engine, owner, &[1, 2, 3]);
        assert_eq!(feed(&mut engine, second, &prompt[64..]), expected, "{kv_type:?}");
        // After all have ended; by now the third page is there, too, and the beginning of a fourth.
        engine.free_sequence(owner);
        engine.free_sequence(second);
        let (third, reused) = engine.new_sequence_with_prefix(tenant("a"), &prompt[..96]).unwrap();
        assert_eq!(reused, 95, "the last token is left to compute, the rest of its page is copied");
        let (fourth, reused) = engine.new_sequence_with_prefix(tenant("a"), &prompt).unwrap();
        assert_eq!(reused, 99);
        let again = alone(&model, kv_type, &[&prompt[..64], &prompt[64..99], &prompt[99..]]);
        assert_close(&feed(&mut engine, fourth, &prompt[99..]), &again);
        feed(&mut engine, third, &prompt[95..96]);
        assert_eq!(engine.sequence_len(third), 96);
    }
}

/// Pieces of other sizes may differ by the order of float sums.
fn assert_close(left: &[f32], right: &[f32]) {
    let largest = left.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(left.len() == right.len() && largest < 1e-3, "logits differ by {largest}");
}

#[test]
fn the_begun_page_is_copied_and_its_owner_untouched() {
    let (model, prompt) = (tiny(), prompt());
    for kv_type in TYPES {
        let mut engine = engine(&model, kv_type);
        let (owner, _) = engine.new_sequence_with_prefix(tenant("a"), &[]).unwrap();
        feed(&mut engine, owner, &prompt[..48]);
        feed(&mut engine, owner, &prompt[48..70]);
        let mut other = prompt[..60].to_vec();
        other[48] = 251;
        let (second, reused) = engine.new_sequence_with_prefix(tenant("a"), &other).unwrap();
        assert_eq!(reused, 48, "one full page, and half of the next");
        let expected = alone(&model, kv_type, &[&other[..48], &other[48..]]);
        assert_eq!(feed(&mut engine, second, &other[48..]), expected, "{kv_type:?}");
        let expected = alone(&model, kv_type, &[&prompt[..48], &prompt[48..70], &prompt[70..]]);
        assert_eq!(feed(&mut engine, owner, &prompt[70..]), expected, "{kv_type:?}");
    }
}

#[test]
fn a_prompt_that_ends_inside_a_page_is_found_but_for_its_last_token() {
    let (model, prompt) = (tiny(), prompt());
    let mut engine = engine(&model, KvType::F16);
    let reused = |engine: &mut Engine, salt: &str, tokens: &[TokenId]| {
        engine.new_sequence_with_prefix(tenant(salt), tokens).unwrap()
    };
    let (owner, _) = reused(&mut engine, "a", &[]);
    feed(&mut engine, owner, &prompt[..49]);
    feed(&mut engine, owner, &prompt[49..50]);
    let expected = alone(&model, KvType::F16, &[&prompt[..49], &prompt[49..50]]);
    for ended in [false, true] {
        if ended {
            engine.free_sequence(owner);
        }
        let (other, count) = reused(&mut engine, "b", &prompt[..50]);
        assert_eq!(count, 0, "another tenant finds nothing");
        engine.free_sequence(other);
        let (same, count) = reused(&mut engine, "a", &prompt[..50]);
        assert_eq!(count, 49, "ended: {ended}");
        assert_eq!(feed(&mut engine, same, &prompt[49..50]), expected);
        engine.free_sequence(same);
    }
    let (short, count) = reused(&mut engine, "a", &prompt[..20]);
    assert_eq!((count, engine.sequence_len(short)), (19, 19));
    // Nothing is taken for a sequence that holds all of it, or something else.
    let (whole, _) = reused(&mut engine, "a", &[]);
    feed(&mut engine, whole, &prompt[..64]);
    let others: [&[TokenId]; 4] = [&prompt[..64], &prompt[..10], &[1, 2, 3], &[]];
    for tokens in others {
        assert_eq!(engine.reuse_prefix(whole, tokens), 64);
    }
}

#[test]
fn tenants_share_nothing_but_what_is_public() {
    let (model, prompt) = (tiny(), prompt());
    let mut engine = engine(&model, KvType::F16);
    let (owner, _) = engine.new_sequence_with_prefix(tenant("a"), &[]).unwrap();
    feed(&mut engine, owner, &prompt);
    let reused = |engine: &mut Engine, salt| {
        let (id, reused) = engine.new_sequence_with_prefix(salt, &prompt).unwrap();
        engine.free_sequence(id);
        reused
    };
    assert_eq!(reused(&mut engine, tenant("a")), 99);
    assert_eq!(reused(&mut engine, tenant("b")), 0);
    assert_eq!(reused(&mut engine, PrefixSalt::Public), 0, "what a tenant computes stays its own");
    assert_eq!(engine.shared_pages(&tenant("a"), &prompt), 3);
    assert_eq!(engine.shared_pages(&tenant("b"), &prompt), 0);
    let unsalted = engine.new_sequence().unwrap();
    assert_eq!(engine.reuse_prefix(unsalted, &prompt), 0);
    engine.free_sequence(unsalted);

    let (public, _) = engine.new_sequence_with_prefix(PrefixSalt::Public, &[]).unwrap();
    feed(&mut engine, public, &prompt[..64]);
    engine.free_sequence(public);
    assert_eq!(reused(&mut engine, tenant("b")), 64, "everybody finds the public pages");
    // A tenant's own pages may stand on public ones, and are no less its own.
    let (mine, _) = engine.new_sequence_with_prefix(tenant("b"), &prompt).unwrap();
    feed(&mut engine, mine, &prompt[64..]);
    assert_eq!(reused(&mut engine, tenant("b")), 99);
    assert_eq!(reused(&mut engine, tenant("c")), 64);
}

#[test]
fn forks_and_rollbacks_are_as_if_they_had_never_been() {
    let (model, prompt) = (tiny(), prompt());
    for salt in [None, Some(tenant("a"))] {
        let mut engine = engine(&model, KvType::F16);
        let first = match &salt {
            None => engine.new_sequence().unwrap(),
            Some(salt) => engine.new_sequence_with_prefix(salt.clone(), &[]).unwrap().0,
        };
        feed(&mut engine, first, &prompt[..40]);
        let fork = engine.fork(first).unwrap();
        assert_eq!(engine.sequence_len(fork), 40);
        // A draft that crosses into a third page, and is not accepted.
        feed(&mut engine, fork, &prompt[40..70]);
        engine.truncate(fork, 40).unwrap();
        let expected = alone(&model, KvType::F16, &[&prompt[..40], &[9, 8, 7]]);
        assert_eq!(feed(&mut engine, fork, &[9, 8, 7]), expected, "{salt:?}");
        let expected = alone(&model, KvType::F16, &[&prompt[..40], &prompt[40..47]]);
        assert_eq!(feed(&mut engine, first, &prompt[40..47]), expected, "{salt:?}");
        // Back into a page that is full and found by others.
        let (other, reused) = engine.new_sequence_with_prefix(tenant("a"), &prompt[..33]).unwrap();
        assert_eq!(reused, if salt.is_some() { 32 } else { 0 });
        engine.truncate(first, 20).unwrap();
        feed(&mut engine, first, &[5, 6]);
        if reused > 0 {
            let expected = alone(&model, KvType::F16, &[&prompt[..40], &[9, 8, 7], &[4]]);
            assert_eq!(feed(&mut engine, fork, &[4]), expected, "its page is as it was");
        }
        assert_eq!(engine.sequence_len(other), reused);
        engine.free_sequence(first);
        assert_eq!(engine.fork(first), Err(EngineError::UnknownSequence { id: first }));
        assert_eq!(engine.truncate(first, 1), Err(EngineError::UnknownSequence { id: first }));
    }
}

#[test]
fn a_pool_that_runs_out_says_how_much_is_missing_and_changes_nothing() {
    let model = tiny();
    let options = EngineOptions { kv_tokens: Some(130), ..options(KvType::F16, 3) };
    let mut engine = Engine::new(Arc::clone(&model), options).unwrap();
    assert_eq!((engine.total_pages(), engine.available_pages()), (5, 5));
    let ids: Vec<SequenceId> = (0..3).map(|_| engine.new_sequence().unwrap()).collect();
    feed(&mut engine, ids[0], &[1; 64]);
    feed(&mut engine, ids[1], &[2; 40]);
    let item = |sequence, tokens| StepItem { sequence, tokens, logits: LogitsWanted::Last };
    let refused = engine.step(&[item(ids[0], &[3]), item(ids[2], &[4; 65])]).unwrap_err();
    assert_eq!(refused, EngineError::OutOfPages { missing: 3, available: 1 });
    assert!(refused.to_string().contains("kv_tokens"), "{refused}");
    let held: Vec<usize> = ids.iter().map(|&id| engine.pages_held(id)).collect();
    assert_eq!((held, engine.available_pages()), (vec![2, 2, 0], 1), "nothing has changed");
    engine.free_sequence(ids[1]);
    let refused = engine.step(&[item(ids[0], &[3]), item(ids[2], &[4; 65])]).unwrap_err();
    assert_eq!(refused, EngineError::OutOfPages { missing: 1, available: 3 });
    engine.step(&[item(ids[0], &[3]), item(ids[2], &[4; 64])]).unwrap();
    assert_eq!(engine.available_pages(), 0);

    let options = EngineOptions { kv_tokens: Some(127), ..options };
    let refused = Engine::new(model, options).unwrap_err().to_string();
    assert!(refused.contains("kv_tokens is 127") && refused.contains("128"), "{refused}");
}

#[test]
fn kept_pages_go_when_they_are_needed_the_oldest_first() {
    let (model, prompt) = (tiny(), prompt());
    let options = EngineOptions { kv_tokens: Some(128), ..options(KvType::F16, 3) };
    let mut engine = Engine::new(model, options).unwrap();
    let salts = [tenant("old"), tenant("new")];
    for salt in &salts {
        let (id, _) = engine.new_sequence_with_prefix(salt.clone(), &[]).unwrap();
        feed(&mut engine, id, &prompt[..64]);
        engine.free_sequence(id);
    }
    assert_eq!(engine.available_pages(), 4, "kept pages can be had");
    let id = engine.new_sequence().unwrap();
    feed(&mut engine, id, &prompt[..PAGE_TOKENS]);
    let (new, reused) = engine.new_sequence_with_prefix(salts[1].clone(), &prompt).unwrap();
    assert_eq!(reused, 64);
    let (old, reused) = engine.new_sequence_with_prefix(salts[0].clone(), &prompt).unwrap();
    assert_eq!(reused, 32, "its last page went first");
    // All pages are held now: none of them goes.
    let item = StepItem { sequence: id, tokens: &[1], logits: LogitsWanted::None };
    assert_eq!(
        engine.step(&[item]).unwrap_err(),
        EngineError::OutOfPages { missing: 1, available: 0 }
    );
    assert_eq!((engine.sequence_len(new), engine.sequence_len(old)), (64, 32));
}
