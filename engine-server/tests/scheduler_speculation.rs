//! Speculation through the scheduler's door: clients get what they get without it, to the last probability; drafts stay
//! inside the step's budget, and a sequence that ends or is cancelled amid a draft leaves nothing behind.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use realm_engine::{
    engine::{Engine, EngineError, EngineOptions, Model, ModelOptions, StepItem, StepLogits},
    sampler::SamplerParams,
    speculation::DraftModel,
    tokenizer::SpecialTokens,
};
use realm_engine_server::{
    metrics::{Metrics, TenantLabels},
    scheduler::{
        EventReceiver, Scheduler, SchedulerOptions,
        event::{Event, FinishReason, Output, Scores, SequenceRequest},
        queue::QueueBounds,
        seam::{DraftedEngine, StepEngine},
    },
    tenant::{Tenant, TenantId},
};

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(2);
/// Tokens that a sequence of these tests can hold.
const CONTEXT: usize = 192;

/// The text repeats itself, so that drafts come from it.
const REPEATING: &str =
    "One two three four five. One two three four five. One two three four five. One two";

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
    let path = std::env::var_os("REALM_TEST_MODEL").map(PathBuf::from);
    let path = path.expect(
        "REALM_TEST_MODEL is not set: run the tests with `cargo xtask test`, which gets the model",
    );
    Model::open(&path, &ModelOptions::default()).expect("the model")
});

fn engine(kv_tokens: Option<usize>) -> Result<Engine, EngineError> {
    let options = EngineOptions::new(NonZeroUsize::MIN, CONTEXT, 4);
    Engine::new(Arc::clone(&MODEL), EngineOptions { kv_tokens, ..options })
}

/// Remembers the widest step.
struct Watched {
    engine: Engine,
    widest: Arc<AtomicUsize>,
}

impl StepEngine for Watched {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        let tokens = batch.iter().map(|item| item.tokens.len()).sum();
        self.widest.fetch_max(tokens, Ordering::Relaxed);
        self.engine.step(batch)
    }
}

struct Bench {
    metrics: Metrics,
    scheduler: Scheduler,
    widest: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
struct Setup {
    max_draft_tokens: usize,
    batch_tokens: usize,
    draft_model: bool,
    kv_tokens: Option<usize>,
}

const PLAIN: Setup =
    Setup { max_draft_tokens: 0, batch_tokens: 64, draft_model: false, kv_tokens: None };
const DRAFTS: Setup = Setup { max_draft_tokens: 8, ..PLAIN };

fn bench(setup: Setup) -> Bench {
    let options = SchedulerOptions {
        parallel: 4,
        batch_tokens: setup.batch_tokens,
        prefill_tokens: setup.batch_tokens,
        max_draft_tokens: setup.max_draft_tokens,
        queue: QueueBounds { total: 16, per_tenant: 16 },
        model_label: "m".into(),
    };
    let metrics = Metrics::new();
    let widest = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&widest);
    let factory = Box::new(move || {
        let made: Box<dyn StepEngine> = if setup.draft_model {
            let drafts = DraftModel::new(engine(None)?, &MODEL).expect("the same vocabulary");
            Box::new(DraftedEngine { engine: engine(setup.kv_tokens)?, drafts })
        } else {
            Box::new(Watched { engine: engine(setup.kv_tokens)?, widest: Arc::clone(&seen) })
        };
        Ok(made)
    });
    let (scheduler, _thread) =
        Scheduler::start(options, Arc::clone(&MODEL), factory, metrics.clone()).expect("a start");
    Bench { metrics, scheduler, widest }
}

fn tenant(name: &str) -> Arc<Tenant> {
    let id = TenantId::Named { namespace: "n".into(), name: name.into() };
    Arc::new(Tenant::unlimited(id, name))
}

impl Bench {
    fn submit(&self, tenant_name: &str, request: SequenceRequest) -> EventReceiver {
        self.scheduler.submit(&tenant(tenant_name), vec![request]).expect("room").remove(0)
    }

    /// Guessed and accepted tokens of a tenant.
    fn guesses(&self, tenant: &str) -> (u64, u64) {
        let labels = TenantLabels { tenant: tenant.into(), model: "m".into() };
        let drafted = self.metrics.speculation_drafted.get_or_create(&labels).get();
        (drafted, self.metrics.speculation_accepted.get_or_create(&labels).get())
    }
}

fn greedy(prompt: &str, max_tokens: usize) -> SequenceRequest {
    // The answer does not end by itself.
    let logit_bias = vec![(0, -100.0), (2, -100.0)];
    SequenceRequest {
        prompt: MODEL.tokenizer().encode(prompt, SpecialTokens::AsText).into(),
        max_tokens,
        sampling: SamplerParams { temperature: 0.0, logit_bias, ..SamplerParams::default() },
        stop: vec![],
        top_logprobs: None,
        constraint: None,
        logit_hook: None,
        scores: Scores::default(),
    }
}

/// Everything that a client got, however it was cut into events; how it ended, and after how many tokens.
async fn answer(mut events: EventReceiver) -> (Output, FinishReason, usize) {
    let mut whole = Output::default();
    let reading = async {
        loop {
            match events.recv().await.expect("an end") {
                Event::Output(output) => {
                    whole.text += &output.text;
                    whole.tokens += output.tokens;
                    whole.logprobs.extend(output.logprobs);
                }
                Event::Scored(_) => {}
                Event::Finished(finish) => return finish,
                Event::Failed(failure) => panic!("{failure}"),
            }
        }
    };
    let finish = tokio::time::timeout(PATIENCE, reading).await.expect("the sequence ends");
    (whole, finish.reason, finish.completion_tokens)
}

fn requests() -> Vec<SequenceRequest> {
    let penalized = SamplerParams {
        temperature: 0.5,
        top_p: 0.9,
        frequency_penalty: 0.05,
        repetition_penalty: 1.02,
        logit_bias: vec![(28, 1.5)],
        seed: Some(3),
        ..SamplerParams::default()
    };
    let seeded = SamplerParams { temperature: 0.4, seed: Some(9), ..SamplerParams::default() };
    vec![
        greedy(REPEATING, 40),
        SequenceRequest { top_logprobs: Some(3), ..greedy(REPEATING, 24) },
        SequenceRequest { sampling: penalized, top_logprobs: Some(1), ..greedy(REPEATING, 40) },
        SequenceRequest { sampling: seeded, ..greedy(REPEATING, 40) },
        SequenceRequest { stop: vec!["four five. One".into()], ..greedy(REPEATING, 40) },
        SequenceRequest { stop: vec!["ee fo".into()], ..greedy(REPEATING, 40) },
        greedy("The capital of France is", 12),
        greedy(REPEATING, 1),
        greedy(REPEATING, 2),
        // To the end of the context.
        greedy(&REPEATING.repeat(2), 1000),
    ]
}

#[tokio::test]
async fn clients_get_the_same_with_and_without_drafts() {
    let (plain, drafts) = (bench(PLAIN), bench(DRAFTS));
    for request in requests() {
        let expected = answer(plain.submit("a", request.clone())).await;
        let found = answer(drafts.submit("a", request.clone())).await;
        assert_eq!(found, expected, "{request:?}");
    }
    assert_eq!(plain.guesses("a"), (0, 0));
    let (drafted, accepted) = drafts.guesses("a");
    assert!(accepted > 0 && accepted <= drafted, "{accepted} of {drafted}");
    assert_eq!(drafts.guesses("b"), (0, 0), "guesses are counted for the tenant that has them");
}

#[tokio::test]
async fn tenants_beside_each_other_get_the_same_too() {
    let expected = {
        let plain = bench(PLAIN);
        let mut texts = Vec::new();
        for request in requests() {
            texts.push(answer(plain.submit("a", request)).await.0.text);
        }
        texts
    };
    let drafts = bench(DRAFTS);
    let tenants = ["a", "b"].into_iter().cycle();
    let running: Vec<EventReceiver> =
        requests().into_iter().zip(tenants).map(|(one, name)| drafts.submit(name, one)).collect();
    for (events, expected) in running.into_iter().zip(expected) {
        assert_eq!(answer(events).await.0.text, expected);
    }
}

#[tokio::test]
async fn a_draft_model_changes_nothing_but_the_steps() {
    let plain = bench(PLAIN);
    let drafts = bench(Setup { draft_model: true, ..DRAFTS });
    for request in requests() {
        let expected = answer(plain.submit("a", request.clone())).await;
        let found = answer(drafts.submit("a", request.clone())).await;
        assert_eq!(found, expected, "{request:?}");
    }
    let (drafted, accepted) = drafts.guesses("a");
    assert!(accepted > 0 && accepted <= drafted, "{accepted} of {drafted}");
}

#[tokio::test]
async fn a_sequence_whose_pages_are_taken_amid_its_drafts_goes_on_with_the_same_text() {
    let prompts = ["One two three. One two three. One", "A b c d. A b c d. A b", REPEATING];
    let request = |prompt: &&str| greedy(prompt, 90);
    let plain = bench(PLAIN);
    let mut expected = Vec::new();
    for prompt in &prompts {
        expected.push(answer(plain.submit("a", request(prompt))).await);
    }
    for draft_model in [false, true] {
        let tight = bench(Setup { kv_tokens: Some(CONTEXT), draft_model, ..DRAFTS });
        let running: Vec<EventReceiver> =
            prompts.iter().map(|prompt| tight.submit("a", request(prompt))).collect();
        for (events, expected) in running.into_iter().zip(&expected) {
            assert_eq!(answer(events).await, *expected);
        }
        let labels = TenantLabels { tenant: "a".into(), model: "m".into() };
        assert!(tight.metrics.preemptions.get_or_create(&labels).get() > 0, "pages ran out");
        assert!(tight.guesses("a").0 > 0);
    }
}

#[tokio::test]
async fn drafts_stay_inside_the_step_budget() {
    let narrow = bench(Setup { batch_tokens: 4, ..DRAFTS });
    let (output, ..) = answer(narrow.submit("a", greedy(REPEATING, 30))).await;
    assert_eq!(output.tokens, 30);
    assert!(narrow.widest.load(Ordering::Relaxed) <= 4);
    let single = bench(Setup { batch_tokens: 1, ..DRAFTS });
    answer(single.submit("a", greedy("One two one two one two", 12))).await;
    assert_eq!(single.guesses("a"), (0, 0), "no room, no drafts");
}

#[tokio::test]
async fn a_cancelled_sequence_leaves_its_place_to_others() {
    let drafts = bench(Setup { draft_model: true, ..DRAFTS });
    let mut gone: Vec<EventReceiver> =
        (0..4).map(|_| drafts.submit("a", greedy(REPEATING, 150))).collect();
    let first = tokio::time::timeout(PATIENCE, gone[0].recv()).await.expect("an event");
    assert!(matches!(first, Some(Event::Output(_))), "{first:?}");
    drop(gone);
    let (output, reason, tokens) = answer(drafts.submit("b", greedy(REPEATING, 20))).await;
    assert_eq!((output.tokens, reason, tokens), (20, FinishReason::Length, 20));
}
