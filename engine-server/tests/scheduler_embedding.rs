//! Texts that are embedded beside sequences that generate: one bounded piece between two steps, charged like prompts, in
//! the order of what tenants were given; cancelled, stopped and failed like everything else.
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
    sync::{Arc, Mutex},
    time::Duration,
};

use realm_engine::{
    engine::{Engine, EngineError, EngineOptions, Model, StepItem, StepLogits, TokenId},
    sampler::SamplerParams,
};
use realm_engine_server::{
    metrics::{Metrics, TenantLabels},
    scheduler::{
        EventReceiver, Scheduler, SchedulerOptions,
        budget::Budget,
        embedding::VectorsReceiver,
        event::{Event, Failure, Scores, SequenceRequest, SubmitError},
        fairness::{DECODE_COST, Rules},
        queue::{QueueBounds, QueueFull},
        seam::StepEngine,
    },
    tenant::{Tenant, TenantId},
};
use tiny_model::{Meta, TinyModel};
use tokio::sync::watch;

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(2);
const CONTEXT: usize = 1024;
/// The model's token that ends an answer, and one whose texts the engine of these tests fails on.
const END: TokenId = 257;
const FAULT: TokenId = 33;
const BUDGET: Budget = Budget { tokens: 64, prefill_beside_decode: 24 };
const PARALLEL: usize = 4;

/// What the engine did.
#[derive(Debug, Clone, PartialEq)]
enum Done {
    /// A step of so many tokens.
    Step(usize),
    /// Texts of these lengths.
    Embedded(Vec<usize>),
}

struct Recorder {
    engine: Engine,
    done: watch::Sender<Vec<Done>>,
}

impl StepEngine for Recorder {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        let tokens = batch.iter().map(|item| item.tokens.len()).sum();
        self.done.send_modify(|done| done.push(Done::Step(tokens)));
        self.engine.step(batch)
    }

    fn embed(&mut self, texts: &[&[TokenId]]) -> Result<Vec<Vec<f32>>, EngineError> {
        assert!(!texts.iter().any(|text| text.contains(&FAULT)), "the fault of the test");
        let vectors = self.engine.embed(texts)?;
        let lengths = texts.iter().map(|text| text.len()).collect();
        self.done.send_modify(|done| done.push(Done::Embedded(lengths)));
        Ok(vectors)
    }
}

struct Bench {
    model: Arc<Model>,
    scheduler: Scheduler,
    metrics: Metrics,
    done: watch::Receiver<Vec<Done>>,
}

/// An engine of so many sequences, whose KV cache holds `kv_tokens`.
fn bench(sequences: usize, kv_tokens: usize) -> Bench {
    let mut tiny = TinyModel::new();
    tiny.set("llama.context_length", Meta::U32(CONTEXT as u32));
    tiny.set("llama.pooling_type", Meta::U32(1));
    let model = tiny.open().expect("the model");
    let options = SchedulerOptions {
        parallel: PARALLEL,
        batch_tokens: BUDGET.tokens,
        prefill_tokens: BUDGET.prefill_beside_decode,
        max_draft_tokens: 0,
        queue: QueueBounds { total: 16, per_tenant: 8 },
        model_label: "m".into(),
    };
    let shared = Arc::clone(&model);
    let (sender, done) = watch::channel(Vec::new());
    let sender = Arc::new(Mutex::new(sender));
    let factory = Box::new(move || {
        let options = EngineOptions {
            kv_tokens: Some(kv_tokens),
            ..EngineOptions::new(NonZeroUsize::MIN, CONTEXT, sequences)
        };
        let engine = Engine::new(Arc::clone(&shared), options)?;
        let done = sender.lock().unwrap().clone();
        Ok::<Box<dyn StepEngine>, EngineError>(Box::new(Recorder { engine, done }))
    });
    let metrics = Metrics::new();
    let (scheduler, _thread) =
        Scheduler::start(options, Arc::clone(&model), factory, metrics.clone()).expect("a start");
    Bench { model, scheduler, metrics, done }
}

fn tenant(name: &str) -> Arc<Tenant> {
    Arc::new(Tenant::unlimited(TenantId::Named { namespace: "n".into(), name: name.into() }, name))
}

fn text(seed: u32, length: usize) -> Arc<[TokenId]> {
    (0..length as u32).map(|at| 100 + (at * 7 + seed * 13) % 100).collect()
}

fn texts(count: u32, length: usize) -> Vec<Arc<[TokenId]>> {
    (0..count).map(|seed| text(seed, length)).collect()
}

impl Bench {
    fn generate(&self, tenant: &Arc<Tenant>, count: u32, tokens: usize) -> Vec<EventReceiver> {
        let request = |own| SequenceRequest {
            prompt: text(50 + own, 8),
            max_tokens: tokens,
            sampling: SamplerParams {
                temperature: 0.0,
                logit_bias: vec![(END, -100.0)],
                ..SamplerParams::default()
            },
            stop: vec![],
            top_logprobs: None,
            constraint: None,
            logit_hook: None,
            scores: Scores::default(),
        };
        self.scheduler.submit(tenant, (0..count).map(request).collect()).expect("room")
    }

    fn embed(&self, tenant: &Arc<Tenant>, texts: Vec<Arc<[TokenId]>>) -> VectorsReceiver {
        self.scheduler.embed(tenant, texts).expect("room")
    }

    /// Waits until the engine's work shows something.
    async fn until(&self, shows: impl FnMut(&Vec<Done>) -> bool) -> Vec<Done> {
        let mut done = self.done.clone();
        let waiting = async { done.wait_for(shows).await.expect("a scheduler").clone() };
        tokio::time::timeout(PATIENCE, waiting).await.expect("in time")
    }

    /// Vectors of the texts from an engine of its own.
    fn expected(&self, texts: &[Arc<[TokenId]>]) -> Vec<Vec<f32>> {
        let options = EngineOptions::new(NonZeroUsize::MIN, CONTEXT, 1);
        let mut engine = Engine::new(Arc::clone(&self.model), options).expect("an engine");
        let texts: Vec<&[TokenId]> = texts.iter().map(|text| &text[..]).collect();
        engine.embed(&texts).expect("vectors")
    }

    fn labels(name: &str) -> TenantLabels {
        TenantLabels { tenant: name.into(), model: "m".into() }
    }

    /// Nothing is counted as waiting or running.
    fn is_idle(&self, name: &str) -> bool {
        let labels = Self::labels(name);
        let gauges = [&self.metrics.requests_running, &self.metrics.queue_depth];
        gauges.iter().all(|gauge| gauge.get_or_create(&labels).get() == 0)
    }

    async fn stop(self) {
        self.scheduler.stop();
        self.scheduler.ended().cancelled().await;
    }
}

async fn vectors(receiver: VectorsReceiver) -> Result<Vec<Vec<f32>>, Failure> {
    tokio::time::timeout(PATIENCE, receiver).await.expect("in time").expect("an answer")
}

async fn ended(mut events: EventReceiver) -> Event {
    let reading = async {
        loop {
            match events.recv().await.expect("an end") {
                Event::Output(_) | Event::Scored(_) => {}
                last => return last,
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("in time")
}

fn assert_close(vectors: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(vectors.len(), expected.len());
    for (one, other) in vectors.iter().flatten().zip(expected.iter().flatten()) {
        assert!((one - other).abs() < 1e-3, "{one} {other}");
    }
}

#[tokio::test]
async fn a_piece_holds_running_answers_up_no_longer_than_a_prompts_piece() {
    let bench = bench(PARALLEL + 1, 4 * CONTEXT);
    let (busy, bulk) = (tenant("busy"), tenant("bulk"));
    let answers = bench.generate(&busy, 2, 600);
    bench.until(|done| done.len() > 20).await;
    let all = texts(60, 10);
    let embedded = vectors(bench.embed(&bulk, all.clone())).await.expect("vectors");
    assert_close(&embedded, &bench.expected(&all));
    let done = bench.done.borrow().clone();
    let begin = done.iter().position(|done| matches!(done, Done::Embedded(_))).expect("texts");
    let end = done.iter().rposition(|done| matches!(done, Done::Embedded(_))).expect("texts");
    let (mut steps, mut tokens) = (0, 0);
    for pair in done[begin..=end].windows(2) {
        let both = matches!(pair, [Done::Embedded(_), Done::Embedded(_)]);
        assert!(!both, "a step stands between two pieces");
    }
    for done in &done[begin..=end] {
        match done {
            Done::Step(_) => steps += 1,
            Done::Embedded(lengths) => {
                assert!(lengths.iter().sum::<usize>() <= BUDGET.prefill_beside_decode);
                tokens += lengths.len() * 10;
            }
        }
    }
    // Two answers move on in each step; what the texts cost stays within a turn of what these do.
    let (answers_cost, texts_cost) = (steps * 2 * DECODE_COST, tokens as u64);
    let turn = Rules { places: PARALLEL, budget: BUDGET }.turn_cost();
    assert_eq!(tokens, 600);
    assert!(
        answers_cost.abs_diff(texts_cost) <= 2 * turn,
        "{answers_cost} and {texts_cost}, a turn is {turn}"
    );
    assert!(
        steps > 600 / 24 * 2,
        "the answers got their share, not one step for each piece: {steps}"
    );
    drop(answers);
    let computed = bench.metrics.computed_tokens.get_or_create(&Bench::labels("bulk")).get();
    assert_eq!(computed, 600);
    assert!(bench.is_idle("bulk"));
    bench.stop().await;
}

#[tokio::test]
async fn tenants_texts_take_turns_and_short_ones_go_together() {
    let bench = bench(PARALLEL + 1, 4 * CONTEXT);
    let many = bench.embed(&tenant("many"), texts(400, 20));
    bench.until(|done| done.len() > 2).await;
    let few = texts(4, 15);
    let embedded = vectors(bench.embed(&tenant("few"), few.clone())).await.expect("vectors");
    assert_close(&embedded, &bench.expected(&few));
    let done = bench.done.borrow().clone();
    assert!(done.contains(&Done::Embedded(vec![15; 4])), "all of them in one piece: {done:?}");
    assert!(done.contains(&Done::Embedded(vec![20; 3])), "as many as a step has tokens for");
    assert!(done.len() < 200, "it did not wait for the others' {}", done.len());
    drop(many);
    bench.stop().await;
}

#[tokio::test]
async fn where_the_engine_has_no_room_a_sequence_gives_way_and_goes_on_later() {
    // No sequence is left, or hardly any page.
    for (sequences, kv_tokens, length) in
        [(PARALLEL, 4 * CONTEXT, 900), (PARALLEL + 1, CONTEXT, 500)]
    {
        let bench = bench(sequences, kv_tokens);
        let answers = bench.generate(&tenant("busy"), 4, length);
        bench.until(|done| done.len() > 200).await;
        let all = texts(3, 60);
        let embedded = vectors(bench.embed(&tenant("bulk"), all.clone())).await.expect("vectors");
        assert_close(&embedded, &bench.expected(&all));
        for events in answers {
            let Event::Finished(finish) = ended(events).await else { panic!("it goes on") };
            assert_eq!(finish.completion_tokens, length);
        }
        let (metrics, busy) = (&bench.metrics, Bench::labels("busy"));
        let counters = [&metrics.places_yielded, &metrics.preemptions];
        assert!(counters.iter().any(|counter| counter.get_or_create(&busy).get() > 0));
        bench.stop().await;
    }
}

#[tokio::test]
async fn who_goes_or_asks_for_too_much_leaves_nothing_behind() {
    let bench = bench(PARALLEL + 1, 4 * CONTEXT);
    let bulk = tenant("bulk");
    assert_eq!(bench.scheduler.longest_text(), BUDGET.tokens);
    assert_eq!(
        bench.scheduler.embed(&bulk, vec![text(1, 0)]).map(|_| ()),
        Err(SubmitError::EmptyPrompt)
    );
    let first = bench.embed(&bulk, texts(3000, 60));
    bench.until(|done| done.len() > 2).await;
    let mut waiting = Vec::new();
    let more = |_| bench.scheduler.embed(&bulk, texts(1, 5)).map(|one| waiting.push(one)).err();
    let refused = (0..20).find_map(more);
    assert!(matches!(refused, Some(SubmitError::Full(QueueFull::Tenant { .. }))), "{refused:?}");
    drop((first, waiting));
    let other = vectors(bench.embed(&tenant("other"), texts(1, 5))).await.expect("vectors");
    assert_eq!(other.len(), 1);
    // The turn that served the other one had put out what nobody waits for.
    assert!(bench.is_idle("bulk"));
    assert!(bench.done.borrow().len() < 1000, "the rest was not computed");
    let left = bench.embed(&bulk, texts(3000, 60));
    bench.scheduler.stop();
    assert_eq!(vectors(left).await, Err(Failure::Stopping));
    bench.scheduler.ended().cancelled().await;
    assert_eq!(bench.scheduler.embed(&bulk, texts(1, 5)).map(|_| ()), Err(SubmitError::Ended));
    assert!(bench.is_idle("bulk"));
}

#[tokio::test]
async fn a_panic_fails_the_texts_and_nobody_later() {
    let bench = bench(PARALLEL + 1, 4 * CONTEXT);
    let bulk = tenant("bulk");
    let bad: Arc<[TokenId]> = [1, FAULT].into();
    assert_eq!(vectors(bench.embed(&bulk, vec![bad])).await, Err(Failure::Engine));
    assert_eq!(vectors(bench.embed(&bulk, texts(2, 5))).await.expect("vectors").len(), 2);
    assert!(bench.is_idle("bulk"));
    bench.stop().await;
}
