//! What the scheduler does when a step of the engine panics: the sequences in flight fail, others are served, and after
//! too many panics it ends. The real engine runs behind a fault.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use realm_engine::{
    engine::{
        Engine, EngineError, EngineOptions, Model, ModelOptions, StepItem, StepLogits, TokenId,
    },
    sampler::SamplerParams,
    tokenizer::SpecialTokens,
};
use realm_engine_server::{
    metrics::{Component, ComponentLabels, Metrics, TenantLabels},
    scheduler::{
        EventReceiver, MAX_ENGINE_REBUILDS, Scheduler, SchedulerOptions,
        event::{Event, Failure, FinishReason, Scores, SequenceRequest, SubmitError},
        queue::QueueBounds,
        seam::StepEngine,
    },
    tenant::{Tenant, TenantId},
};

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Panics when a sequence is fed this token.
struct Faulty {
    engine: Engine,
    trigger: TokenId,
}

impl StepEngine for Faulty {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        assert!(
            !batch.iter().any(|item| item.tokens.contains(&self.trigger)),
            "the fault of the test"
        );
        self.engine.step(batch)
    }
}

struct Bench {
    model: Arc<Model>,
    metrics: Metrics,
    scheduler: Scheduler,
    tenant: Arc<Tenant>,
    trigger: TokenId,
}

fn bench() -> Bench {
    let path = std::env::var_os("REALM_TEST_MODEL").map(PathBuf::from);
    let path = path.expect(
        "REALM_TEST_MODEL is not set: run the tests with `cargo xtask test`, which gets the model",
    );
    let model = Model::open(&path, &ModelOptions::default()).expect("the model");
    let trigger = model.tokenizer().encode("!", SpecialTokens::AsText)[0];
    let options = SchedulerOptions {
        parallel: 2,
        batch_tokens: 64,
        prefill_tokens: 64,
        max_draft_tokens: 8,
        queue: QueueBounds { total: 8, per_tenant: 8 },
        model_label: "m".into(),
    };
    let (metrics, shared) = (Metrics::new(), Arc::clone(&model));
    let factory = Box::new(move || {
        let engine =
            Engine::new(Arc::clone(&shared), EngineOptions::new(NonZeroUsize::MIN, 256, 2))?;
        Ok::<Box<dyn StepEngine>, EngineError>(Box::new(Faulty { engine, trigger }))
    });
    let (scheduler, _thread) =
        Scheduler::start(options, Arc::clone(&model), factory, metrics.clone()).expect("a start");
    let tenant = Arc::new(Tenant::unlimited(TenantId::Anonymous, "anonymous"));
    Bench { model, metrics, scheduler, tenant, trigger }
}

impl Bench {
    fn request(&self, prompt: &str, max_tokens: usize) -> SequenceRequest {
        let prompt = self.model.tokenizer().encode(prompt, SpecialTokens::AsText).into();
        // Neither the end of the answer nor the fault comes by itself.
        let logit_bias = vec![(0, -100.0), (2, -100.0), (self.trigger, -100.0)];
        let sampling = SamplerParams { temperature: 0.0, logit_bias, ..SamplerParams::default() };
        SequenceRequest {
            prompt,
            max_tokens,
            sampling,
            stop: vec![],
            top_logprobs: None,
            constraint: None,
            logit_hook: None,
            scores: Scores::default(),
        }
    }

    fn submit(&self, prompt: &str, max_tokens: usize) -> Result<EventReceiver, SubmitError> {
        let mut receivers =
            self.scheduler.submit(&self.tenant, vec![self.request(prompt, max_tokens)])?;
        Ok(receivers.remove(0))
    }

    fn running(&self) -> i64 {
        let labels = TenantLabels { tenant: "anonymous".into(), model: "m".into() };
        self.metrics.requests_running.get_or_create(&labels).get()
    }

    fn panics(&self) -> u64 {
        self.metrics.panics.get_or_create(&ComponentLabels { component: Component::engine }).get()
    }
}

async fn last(mut events: EventReceiver) -> Event {
    let mut last = None;
    let reading = async {
        while let Some(event) = events.recv().await {
            last = Some(event);
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the sequence ends");
    last.expect("an event")
}

fn reason(event: &Event) -> Option<FinishReason> {
    match event {
        Event::Finished(finish) => Some(finish.reason),
        _ => None,
    }
}

#[tokio::test]
async fn a_panic_fails_what_runs_and_nothing_else() {
    let bench = bench();
    let mut long = bench.submit("Count from one", 200).expect("room");
    assert!(matches!(long.recv().await, Some(Event::Output(_))));
    let bad = bench.submit("Boom!", 5).expect("room");
    let waiting = bench.submit("The capital of France is", 5).expect("room");
    assert_eq!(last(bad).await, Event::Failed(Failure::Engine));
    assert_eq!(last(long).await, Event::Failed(Failure::Engine), "it was in the same engine");
    assert_eq!(
        reason(&last(waiting).await),
        Some(FinishReason::Length),
        "it waited and is served by the new engine"
    );
    assert_eq!((bench.running(), bench.panics()), (0, 1));
    bench.scheduler.stop();
    bench.scheduler.ended().cancelled().await;
}

#[tokio::test]
async fn too_many_panics_end_the_scheduler() {
    let bench = bench();
    for _ in 0..=MAX_ENGINE_REBUILDS {
        assert_eq!(
            last(bench.submit("Boom!", 5).expect("room")).await,
            Event::Failed(Failure::Engine)
        );
    }
    tokio::time::timeout(PATIENCE, bench.scheduler.ended().cancelled()).await.expect("it ends");
    assert_eq!(bench.submit("Hi", 1).map(|_| ()), Err(SubmitError::Ended));
    assert_eq!((bench.running(), bench.panics()), (0, MAX_ENGINE_REBUILDS as u64 + 1));
}

#[tokio::test]
async fn stopping_ends_what_runs_and_what_waits() {
    let bench = bench();
    let asked: Vec<_> =
        (0..4).map(|_| bench.submit("Count from one", 200).expect("room")).collect();
    bench.scheduler.stop();
    for events in asked {
        assert_eq!(last(events).await, Event::Failed(Failure::Stopping));
    }
    assert_eq!(bench.submit("Hi", 1).map(|_| ()), Err(SubmitError::Ended));
}

#[tokio::test]
async fn requests_that_cannot_run_are_refused() {
    let bench = bench();
    assert_eq!(bench.submit("", 1).map(|_| ()), Err(SubmitError::EmptyPrompt));
    let mut request = bench.request("Hi", 1);
    request.sampling.temperature = f32::NAN;
    let refused = bench.scheduler.submit(&bench.tenant, vec![request]).map(|_| ());
    assert!(
        matches!(&refused, Err(SubmitError::Sampling(error)) if error.parameter == "temperature"),
        "{refused:?}"
    );
    let group = vec![bench.request("Hi", 1); 9];
    assert!(matches!(bench.scheduler.submit(&bench.tenant, group), Err(SubmitError::Full(_))));
    assert_eq!(bench.scheduler.waiting(), 0, "nothing of a refused group stays");
}
