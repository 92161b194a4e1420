//! With the real engine: drafts and truncation give the text that single steps give, from the text itself and from a
//! draft model, whose KV cache follows the target's.
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
        Engine, EngineOptions, LogitsWanted, Model, ModelOptions, SequenceId, StepItem, TokenId,
    },
    sampler::{Sampler, SamplerParams, most_likely},
    speculation::{
        CATCH_UP_TOKENS, Choice, DraftModel, DraftRequest, PromptLookup, VocabularyMismatch, verify,
    },
    tokenizer::SpecialTokens,
};
use tiny_model::{Meta, TinyModel};

static DEMO: LazyLock<Arc<Model>> = LazyLock::new(|| {
    Model::open(&demo_model(), &ModelOptions::default()).expect("the demo model opens")
});

fn engine(model: &Arc<Model>, context_length: usize, sequences: usize) -> Engine {
    let options = EngineOptions::new(NonZeroUsize::new(2).unwrap(), context_length, sequences);
    Engine::new(Arc::clone(model), options).unwrap()
}

fn tiny() -> Arc<Model> {
    TinyModel::new().open().unwrap()
}

/// A text in an engine: all tokens but the last are in the KV cache.
struct Text<'e> {
    engine: &'e mut Engine,
    sequence: SequenceId,
    sampler: Sampler,
    tokens: Vec<TokenId>,
}

impl<'e> Text<'e> {
    fn new(engine: &'e mut Engine, prompt: &[TokenId], params: &SamplerParams) -> Self {
        let sequence = engine.new_sequence().unwrap();
        let (_, begin) = prompt.split_last().unwrap();
        if !begin.is_empty() {
            let item = StepItem { sequence, tokens: begin, logits: LogitsWanted::None };
            engine.step(&[item]).unwrap();
        }
        let sampler = Sampler::new(params.clone()).unwrap();
        Self { engine, sequence, sampler, tokens: prompt.to_vec() }
    }

    /// One step with the draft behind the last token; returns how many of its tokens stood.
    fn step(&mut self, draft: &[TokenId]) -> usize {
        let held = self.tokens.len() - 1;
        let step = [&self.tokens[held..], draft].concat();
        let vocab_size = self.engine.model().info().vocab_size;
        let item = StepItem { sequence: self.sequence, tokens: &step, logits: LogitsWanted::All };
        let logits = self.engine.step(&[item]).unwrap();
        let (sampler, tokens) = (&mut self.sampler, &mut self.tokens);
        let verified = verify(draft, logits.item(0), vocab_size, |row| {
            let token = sampler.sample(row);
            sampler.accept(token);
            tokens.push(token);
            Choice { token, over: false }
        });
        self.engine.truncate(self.sequence, held + verified.chosen).unwrap();
        assert_eq!(self.engine.sequence_len(self.sequence), self.tokens.len() - 1);
        verified.accepted
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        self.engine.free_sequence(self.sequence);
    }
}

fn plainly(
    engine: &mut Engine,
    prompt: &[TokenId],
    params: &SamplerParams,
    count: usize,
) -> Vec<TokenId> {
    let mut text = Text::new(engine, prompt, params);
    for _ in 0..count {
        text.step(&[]);
    }
    text.tokens.split_off(prompt.len())
}

/// The tokens, and how many steps they took.
fn by_lookup(
    engine: &mut Engine,
    prompt: &[TokenId],
    params: &SamplerParams,
    count: usize,
) -> (Vec<TokenId>, usize) {
    let mut text = Text::new(engine, prompt, params);
    let mut lookup = PromptLookup::new();
    let mut steps = 0;
    while text.tokens.len() < prompt.len() + count {
        let known = lookup.tokens().len();
        lookup.extend(&text.tokens[known..]);
        let left = prompt.len() + count - text.tokens.len();
        let draft = lookup.find().map(|found| lookup.draft(found, 6.min(left - 1)));
        text.step(&draft.unwrap_or_default());
        steps += 1;
    }
    (text.tokens.split_off(prompt.len()), steps)
}

fn ways() -> [SamplerParams; 3] {
    let greedy = SamplerParams { temperature: 0.0, ..SamplerParams::default() };
    let seeded =
        SamplerParams { temperature: 0.6, top_p: 0.9, seed: Some(11), ..SamplerParams::default() };
    let penalized = SamplerParams {
        temperature: 0.4,
        top_k: 20,
        frequency_penalty: 0.1,
        repetition_penalty: 1.05,
        seed: Some(5),
        ..SamplerParams::default()
    };
    [greedy, seeded, penalized]
}

#[test]
fn the_tiny_model_writes_the_same_with_drafts() {
    let model = tiny();
    let mut engine = engine(&model, 128, 1);
    let prompt: Vec<TokenId> = (0..30).map(|token| token % 6).collect();
    for params in ways() {
        let plain = plainly(&mut engine, &prompt, &params, 90);
        let (tokens, steps) = by_lookup(&mut engine, &prompt, &params, 90);
        assert_eq!(tokens, plain, "{params:?}");
        assert!(steps <= 90);
    }
}

#[test]
fn real_prompts_are_answered_the_same_with_drafts() {
    let prompts = [
        "Repeat after me: the quick brown fox jumps over the lazy dog. The quick brown fox jumps over the",
        "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n\ndef mul(a, b):\n",
        "The capital of France is",
        "1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3,",
    ];
    let mut engine = engine(&DEMO, 256, 1);
    let mut saved = 0;
    for prompt in prompts {
        let prompt = DEMO.tokenizer().encode(prompt, SpecialTokens::AsText);
        for params in ways() {
            let plain = plainly(&mut engine, &prompt, &params, 48);
            let (tokens, steps) = by_lookup(&mut engine, &prompt, &params, 48);
            let text = |tokens: &[TokenId]| DEMO.tokenizer().decode(tokens);
            assert_eq!(text(&tokens), text(&plain), "{params:?}");
            saved += 48 - steps;
        }
    }
    assert!(saved > 100, "only {saved} steps of 576 were saved");
}

#[test]
fn a_draft_model_that_is_the_model_is_always_right() {
    let model = tiny();
    let mut target = engine(&model, 128, 1);
    let greedy = SamplerParams { temperature: 0.0, ..SamplerParams::default() };
    let prompt = [7, 8, 9, 10];
    let plain = plainly(&mut target, &prompt, &greedy, 24);
    let mut drafts = DraftModel::new(engine(&model, 128, 1), &model).unwrap();
    let mut text = Text::new(&mut target, &prompt, &greedy);
    for _ in 0..6 {
        let request = DraftRequest { key: 1, text: &text.tokens, count: 3 };
        drafts.catch_up(&[request]).unwrap();
        let draft = drafts.draft(&[request]).unwrap().remove(0);
        assert_eq!(draft.len(), 3);
        assert_eq!(text.step(&draft), 3);
    }
    assert_eq!(text.tokens[prompt.len()..], plain);
}

/// What a model says next, computed from nothing.
fn greedy_tokens(engine: &mut Engine, text: &[TokenId], count: usize) -> Vec<TokenId> {
    let mut text = text.to_vec();
    let before = text.len();
    for _ in 0..count {
        let sequence = engine.new_sequence().unwrap();
        let item = StepItem { sequence, tokens: &text, logits: LogitsWanted::Last };
        let token = most_likely(engine.step(&[item]).unwrap().item(0));
        engine.free_sequence(sequence);
        text.push(token);
    }
    text.split_off(before)
}

#[test]
fn drafts_follow_the_text_whatever_the_target_made_of_the_last_ones() {
    let model = tiny();
    let mut fresh = engine(&model, 128, 1);
    let mut drafts = DraftModel::new(engine(&model, 128, 2), &model).unwrap();
    let mut texts: [Vec<TokenId>; 2] = [vec![1, 2, 3], vec![200, 100]];
    // Each round the target takes none, some or all of the guesses, and a token of its own.
    for (round, taken) in [0, 1, 3, 2, 0, 0, 3].into_iter().enumerate() {
        let [one, two] = &texts;
        let requests = [
            DraftRequest { key: 10, text: one, count: 3 },
            DraftRequest { key: 20, text: two, count: if round == 3 { 0 } else { 2 } },
        ];
        drafts.catch_up(&requests).unwrap();
        let guesses = drafts.draft(&requests).unwrap();
        for (request, guesses) in requests.iter().zip(&guesses) {
            assert_eq!(*guesses, greedy_tokens(&mut fresh, request.text, request.count), "{round}");
        }
        for (text, guesses) in texts.iter_mut().zip(guesses) {
            text.extend(guesses.iter().take(taken));
            text.push(50 + round as TokenId);
        }
    }
    assert_eq!(drafts.twins(), 2);
    drafts.forget(10);
    drafts.forget(10);
    assert_eq!(drafts.twins(), 1);
    drafts.forget_all();
    assert_eq!(drafts.twins(), 0);
}

#[test]
fn a_draft_model_without_room_leaves_sequences_without_drafts() {
    let model = tiny();
    let mut drafts = DraftModel::new(engine(&model, 16, 1), &model).unwrap();
    let long: Vec<TokenId> = (0..15).collect();
    let requests = [
        DraftRequest { key: 1, text: &long, count: 2 },
        DraftRequest { key: 2, text: &[1, 2], count: 2 },
        DraftRequest { key: 3, text: &[3, 4], count: 2 },
        DraftRequest { key: 4, text: &[], count: 2 },
    ];
    drafts.catch_up(&requests).unwrap();
    let lengths: Vec<usize> = drafts.draft(&requests).unwrap().iter().map(Vec::len).collect();
    assert_eq!(lengths, [0, 2, 0, 0], "too long, fits, no sequence left, empty");
}

#[test]
fn a_long_prompt_is_read_in_pieces() {
    let mut tiny = TinyModel::new();
    tiny.set("llama.context_length", Meta::U32(1024));
    let model = tiny.open().unwrap();
    let mut drafts = DraftModel::new(engine(&model, 1024, 1), &model).unwrap();
    let prompt: Vec<TokenId> = (0..600).map(|token| token % 250).collect();
    let request = DraftRequest { key: 1, text: &prompt, count: 1 };
    let mut calls = 0;
    loop {
        drafts.catch_up(&[request]).unwrap();
        calls += 1;
        if !drafts.draft(&[request]).unwrap()[0].is_empty() {
            break;
        }
        assert!(calls < 10, "it never catches up");
    }
    assert_eq!(calls, prompt.len().div_ceil(CATCH_UP_TOKENS));
}

#[test]
fn another_vocabulary_is_refused() {
    let target = tiny();
    let spoilt = |spoil: &dyn Fn(&mut TinyModel)| {
        let mut other = TinyModel::new();
        spoil(&mut other);
        let other = other.open().unwrap();
        DraftModel::new(engine(&other, 64, 1), &target).unwrap_err()
    };
    let error = spoilt(&|other| {
        for (key, value) in &mut other.metadata {
            if let (true, Meta::Texts(tokens)) = (key == "tokenizer.ggml.tokens", value) {
                tokens.swap(100, 101);
            }
        }
    });
    assert!(matches!(error, VocabularyMismatch::Token { token: 100, .. }), "{error}");
    assert!(error.to_string().contains("same vocabulary"), "{error}");
    let error = DraftModel::new(engine(&DEMO, 64, 1), &target).unwrap_err();
    assert_eq!(error, VocabularyMismatch::Size { draft: 49152, target: 258 });
}
