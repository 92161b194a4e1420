//! Probabilities of prompts' own tokens, against the rows that the engine gives for the same prompt in one step: whatever
//! runs beside them, is in the cache, or takes their pages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

#[path = "../../engine/tests/support/tiny_model.rs"]
mod tiny_model;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use realm_engine::{
    engine::{
        Engine, EngineError, EngineOptions, LogitsWanted, Model, StepItem, StepLogits, TokenId,
    },
    sampler::{SamplerParams, log_probabilities, log_probability},
};
use realm_engine_server::{
    metrics::{Metrics, TenantLabels},
    scheduler::{
        EventReceiver, Scheduler, SchedulerOptions,
        event::{
            Event, Finish, FinishReason, Output, PromptScores, ScoredToken, Scores, SequenceRequest,
        },
        queue::QueueBounds,
        scoring::MAX_PROMPT_ROWS,
        seam::StepEngine,
    },
    tenant::{Tenant, TenantId},
};
use tiny_model::{Meta, TinyModel};

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(2);
const CONTEXT: usize = 512;
/// Alternatives for each token.
const TOP: usize = 3;
/// The model's token that ends an answer.
const END: TokenId = 257;

/// Counts rows.
struct Counting {
    engine: Engine,
    /// Rows of a step, at most so far.
    most: Arc<AtomicUsize>,
}

impl StepEngine for Counting {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        let all = batch.iter().filter(|item| item.logits == LogitsWanted::All);
        let rows = all.map(|item| item.tokens.len()).sum();
        self.most.fetch_max(rows, Ordering::Relaxed);
        self.engine.step(batch)
    }
}

struct Bench {
    model: Arc<Model>,
    scheduler: Scheduler,
    metrics: Metrics,
    tenant: Arc<Tenant>,
    most_rows: Arc<AtomicUsize>,
}

/// A scheduler whose KV cache holds `kv_tokens`.
fn bench(kv_tokens: usize) -> Bench {
    let mut tiny = TinyModel::new();
    tiny.set("llama.context_length", Meta::U32(CONTEXT as u32));
    let model = tiny.open().expect("the model");
    let options = SchedulerOptions {
        parallel: 4,
        batch_tokens: 128,
        prefill_tokens: 48,
        max_draft_tokens: 4,
        queue: QueueBounds { total: 64, per_tenant: 64 },
        model_label: "m".into(),
    };
    let (shared, most_rows) = (Arc::clone(&model), Arc::new(AtomicUsize::new(0)));
    let most = Arc::clone(&most_rows);
    let factory = Box::new(move || {
        let options = EngineOptions {
            kv_tokens: Some(kv_tokens),
            ..EngineOptions::new(NonZeroUsize::MIN, CONTEXT, 4)
        };
        let engine = Engine::new(Arc::clone(&shared), options)?;
        Ok::<Box<dyn StepEngine>, EngineError>(Box::new(Counting {
            engine,
            most: Arc::clone(&most),
        }))
    });
    let metrics = Metrics::new();
    let (scheduler, _thread) =
        Scheduler::start(options, Arc::clone(&model), factory, metrics.clone()).expect("a start");
    let tenant = Arc::new(Tenant::unlimited(TenantId::Anonymous, "anonymous"));
    Bench { model, scheduler, metrics, tenant, most_rows }
}

fn words(seed: u32, count: usize) -> Vec<TokenId> {
    (0..count as u32).map(|at| (at * at * 7 + at * seed + seed) % 250).collect()
}

fn request(prompt: Vec<TokenId>, max_tokens: usize, from: usize) -> SequenceRequest {
    let sampling = SamplerParams {
        temperature: 0.0,
        logit_bias: vec![(END, -100.0)],
        ..SamplerParams::default()
    };
    let prompt_scores = PromptScores { top: TOP, from };
    SequenceRequest {
        prompt: prompt.into(),
        max_tokens,
        sampling,
        stop: vec![],
        top_logprobs: Some(TOP),
        constraint: None,
        logit_hook: None,
        scores: Scores { prompt: Some(prompt_scores), end: true },
    }
}

/// What a client got.
struct Answer {
    scored: Vec<ScoredToken>,
    output: Output,
    finish: Finish,
}

async fn answer(mut events: EventReceiver) -> Answer {
    let (mut scored, mut output) = (None, Output::default());
    let reading = async {
        loop {
            match events.recv().await.expect("an end") {
                Event::Scored(tokens) => {
                    assert!(scored.replace(tokens).is_none(), "once");
                    assert!(output.text.is_empty(), "before any text");
                }
                Event::Output(piece) => {
                    output.text += &piece.text;
                    output.logprobs.extend(piece.logprobs);
                }
                Event::Finished(finish) => return finish,
                Event::Failed(failure) => panic!("{failure}"),
            }
        }
    };
    let finish = tokio::time::timeout(PATIENCE, reading).await.expect("the sequence ends");
    Answer { scored: scored.expect("scores"), output, finish }
}

impl Bench {
    async fn answers(&self, requests: Vec<SequenceRequest>) -> Vec<Answer> {
        let mut answers = Vec::new();
        for events in self.scheduler.submit(&self.tenant, requests).expect("room") {
            answers.push(answer(events).await);
        }
        answers
    }

    /// The rows of the whole prompt from an engine of its own, in one step.
    fn check(&self, prompt: &[TokenId], from: usize, scored: &[ScoredToken]) {
        let options = EngineOptions::new(NonZeroUsize::MIN, CONTEXT, 1);
        let mut engine = Engine::new(Arc::clone(&self.model), options).expect("an engine");
        let sequence = engine.new_sequence().expect("a sequence");
        let item = StepItem { sequence, tokens: prompt, logits: LogitsWanted::All };
        let logits = engine.step(&[item]).expect("a step");
        let rows = logits.item(0).chunks_exact(self.model.info().vocab_size);
        assert_eq!(scored.len(), prompt.len() - from.max(1).min(prompt.len()));
        let bytes = |token| self.model.tokenizer().token_bytes(token).unwrap().to_vec();
        for ((row, &token), scored) in rows.zip(&prompt[1..]).skip(from.max(1) - 1).zip(scored) {
            let expected = log_probability(row, token).expect("a probability");
            assert!((scored.chosen.logprob - expected).abs() < 1e-3, "{scored:?}: {expected}");
            assert_eq!(scored.chosen.bytes, bytes(token));
            let top = log_probabilities(row, TOP);
            assert_eq!(scored.top.len(), TOP);
            for (scored, expected) in scored.top.iter().zip(top) {
                assert!((scored.logprob - expected.log_probability).abs() < 1e-3);
            }
        }
    }

    fn counted(&self, counter: impl Fn(&Metrics, &TenantLabels) -> u64) -> u64 {
        counter(&self.metrics, &TenantLabels { tenant: "anonymous".into(), model: "m".into() })
    }

    async fn stop(self) {
        self.scheduler.stop();
        self.scheduler.ended().cancelled().await;
    }
}

#[tokio::test]
async fn every_token_of_a_prompt_has_the_probability_that_the_engine_gives_it() {
    let bench = bench(2048);
    for (length, from, max_tokens) in [
        (1, 0, 1),
        (1, 0, 0),
        (2, 0, 0),
        (40, 0, 0),
        (200, 0, 4),
        (200, 1, 0),
        (200, 150, 2),
        (200, 199, 0),
        (200, 200, 1),
        (200, 900, 0),
    ] {
        let prompt = words(length as u32, length);
        let [answer] = bench
            .answers(vec![request(prompt.clone(), max_tokens, from)])
            .await
            .try_into()
            .ok()
            .unwrap();
        bench.check(&prompt, from, &answer.scored);
        assert_eq!(
            (answer.finish.reason, answer.finish.completion_tokens),
            (FinishReason::Length, max_tokens)
        );
        assert_eq!(answer.output.logprobs.len(), max_tokens);
    }
    bench.stop().await;
}

#[tokio::test]
async fn what_is_in_the_cache_is_scored_all_the_same() {
    let bench = bench(2048);
    let prompt = words(3, 200);
    let mut cached = Vec::new();
    for from in [0, 0, 130, 200] {
        let [answer] =
            bench.answers(vec![request(prompt.clone(), 1, from)]).await.try_into().ok().unwrap();
        bench.check(&prompt, from, &answer.scored);
        cached.push(answer.finish.cached_tokens);
    }
    assert_eq!(cached[..2], [0, 0], "every row is computed");
    assert!(
        (64..130).contains(&cached[2]),
        "{cached:?}: what stands before the first scored token is reused"
    );
    assert_eq!(cached[3], 199);
    bench.stop().await;
}

#[tokio::test]
async fn prompts_are_scored_together_in_few_rows_a_step() {
    let bench = bench(2048);
    let same = words(5, 90);
    let prompts: Vec<_> = (0..8)
        .map(|own| if own < 3 { same.clone() } else { words(own, 90 + own as usize) })
        .collect();
    let requests = prompts.iter().map(|prompt| request(prompt.clone(), 6, 0)).collect();
    let answers = bench.answers(requests).await;
    for (prompt, answer) in prompts.iter().zip(&answers) {
        bench.check(prompt, 0, &answer.scored);
        assert_eq!(answer.finish.completion_tokens, 6);
    }
    let most = bench.most_rows.load(Ordering::Relaxed);
    // Answers beside them have a row each and one for each guess.
    assert!((MAX_PROMPT_ROWS / 2..=MAX_PROMPT_ROWS + 4 * 5).contains(&most), "{most}");
    bench.stop().await;
}

#[tokio::test]
async fn who_loses_its_pages_is_scored_once() {
    let bench = bench(CONTEXT);
    let prompts: Vec<_> = (0..6).map(|own| words(20 + own, 120)).collect();
    let requests = prompts.iter().map(|prompt| request(prompt.clone(), 200, 0)).collect();
    let answers = bench.answers(requests).await;
    for (prompt, answer) in prompts.iter().zip(&answers) {
        bench.check(prompt, 0, &answer.scored);
        assert_eq!(answer.output.logprobs.len(), 200);
    }
    let lost = bench.counted(|metrics, labels| metrics.preemptions.get_or_create(labels).get());
    assert!(lost > 0, "the cache was too small for all");
    bench.stop().await;
}

#[tokio::test]
async fn the_token_that_ends_an_answer_is_reported_when_asked_for() {
    let bench = bench(2048);
    for end in [true, false] {
        let mut asked = request(words(9, 20), 5, 0);
        asked.sampling.logit_bias = vec![(END, 100.0)];
        asked.scores.end = end;
        let [answer] = bench.answers(vec![asked]).await.try_into().ok().unwrap();
        assert_eq!(
            (answer.finish.reason, answer.finish.completion_tokens),
            (FinishReason::Stop, 1)
        );
        let reported: Vec<_> =
            answer.output.logprobs.iter().map(|entry| &entry.chosen.bytes[..]).collect();
        assert_eq!(reported, if end { vec![&b"<|end|>"[..]] } else { vec![] });
    }
    bench.stop().await;
}
