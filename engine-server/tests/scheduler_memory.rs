//! How the scheduler uses the KV cache: what a tenant has computed is not computed again, a long prompt does not stall who
//! is being answered, and when pages run out a sequence begins again without its client noticing. The real engine runs, with
//! a small random model.
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
    engine::{
        Engine, EngineError, EngineOptions, Model, SequenceId, StepItem, StepLogits, TokenId,
    },
    sampler::SamplerParams,
};
use realm_engine_server::{
    metrics::{Metrics, TenantLabels},
    scheduler::{
        EventReceiver, Scheduler, SchedulerOptions,
        event::{Event, Failure, Finish, Scores, SequenceRequest},
        queue::QueueBounds,
        seam::StepEngine,
    },
    tenant::{Tenant, TenantId},
};
use tiny_model::{Meta, TinyModel};

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(1);
const CONTEXT: usize = 1024;
/// The model's token that ends an answer, and one that is no text.
const END: TokenId = 257;

type Steps = Arc<Mutex<Vec<Vec<(SequenceId, usize)>>>>;
type OnOutOfPages = Arc<Mutex<Option<EventReceiver>>>;

/// Writes down how many tokens each sequence computes in each step.
struct Recorder {
    engine: Engine,
    steps: Steps,
    /// Goes away when pages run out.
    client: OnOutOfPages,
    /// Pages run out at every step.
    always_full: bool,
}

impl StepEngine for Recorder {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        if self.always_full {
            return Err(EngineError::OutOfPages { missing: 2, available: 0 });
        }
        let sizes = batch.iter().map(|item| (item.sequence, item.tokens.len())).collect();
        let result = self.engine.step(batch);
        match &result {
            Ok(_) => self.steps.lock().unwrap().push(sizes),
            Err(_) => drop(self.client.lock().unwrap().take()),
        }
        result
    }
}

struct Setup {
    parallel: usize,
    prefill_tokens: usize,
    kv_tokens: Option<usize>,
    max_draft_tokens: usize,
    always_full: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            parallel: 16,
            prefill_tokens: 512,
            kv_tokens: None,
            max_draft_tokens: 0,
            always_full: false,
        }
    }
}

struct Bench {
    metrics: Metrics,
    scheduler: Scheduler,
    steps: Steps,
    client: OnOutOfPages,
}

impl Setup {
    fn start(self) -> Bench {
        let mut tiny = TinyModel::new();
        tiny.set("llama.context_length", Meta::U32(CONTEXT as u32));
        let model = tiny.open().expect("the model");
        let options = SchedulerOptions {
            parallel: self.parallel,
            batch_tokens: 512,
            prefill_tokens: self.prefill_tokens,
            max_draft_tokens: self.max_draft_tokens,
            queue: QueueBounds { total: 64, per_tenant: 64 },
            model_label: "m".into(),
        };
        let (metrics, steps, client) = (Metrics::new(), Steps::default(), OnOutOfPages::default());
        let (shared, told, goes) = (Arc::clone(&model), Arc::clone(&steps), Arc::clone(&client));
        let context = self.kv_tokens.unwrap_or(CONTEXT).min(CONTEXT);
        let engine_options = EngineOptions {
            kv_tokens: self.kv_tokens,
            ..EngineOptions::new(NonZeroUsize::MIN, context, self.parallel)
        };
        let factory = Box::new(move || {
            let engine = Engine::new(Arc::<Model>::clone(&shared), engine_options)?;
            let (steps, client) = (Arc::clone(&told), Arc::clone(&goes));
            let always_full = self.always_full;
            Ok::<Box<dyn StepEngine>, EngineError>(Box::new(Recorder {
                engine,
                steps,
                client,
                always_full,
            }))
        });
        let (scheduler, _thread) =
            Scheduler::start(options, model, factory, metrics.clone()).expect("a start");
        Bench { metrics, scheduler, steps, client }
    }
}

fn tenant(name: &str) -> Arc<Tenant> {
    let id = TenantId::Named { namespace: "n".into(), name: name.into() };
    Arc::new(Tenant::unlimited(id, name))
}

/// Never ends by itself.
fn request(prompt: Vec<TokenId>, max_tokens: usize, temperature: f32) -> SequenceRequest {
    let sampling = SamplerParams {
        temperature,
        seed: Some(7),
        logit_bias: vec![(END, -100.0)],
        ..SamplerParams::default()
    };
    SequenceRequest {
        prompt: prompt.into(),
        max_tokens,
        sampling,
        stop: vec![],
        top_logprobs: None,
        constraint: None,
        logit_hook: None,
        scores: Scores::default(),
    }
}

fn words(seed: u32, count: usize) -> Vec<TokenId> {
    (0..count as u32).map(|at| (at * at * 7 + at * seed + seed) % 250).collect()
}

impl Bench {
    fn submit(&self, tenant: &Arc<Tenant>, requests: Vec<SequenceRequest>) -> Vec<EventReceiver> {
        self.scheduler.submit(tenant, requests).expect("room in the queue")
    }

    /// Tokens that went through the engine.
    fn computed(&self) -> usize {
        self.steps.lock().unwrap().iter().flatten().map(|(_, tokens)| tokens).sum()
    }

    fn labels(tenant: &str) -> TenantLabels {
        TenantLabels { tenant: tenant.into(), model: "m".into() }
    }

    fn preemptions(&self, tenant: &str) -> u64 {
        self.metrics.preemptions.get_or_create(&Self::labels(tenant)).get()
    }

    fn cached(&self, tenant: &str) -> u64 {
        self.metrics.cached_prompt_tokens.get_or_create(&Self::labels(tenant)).get()
    }

    /// Sequences gave way, and nothing is held in the end.
    async fn all_let_go(self) {
        let preemptions: u64 = ["a", "b", "c"].map(|tenant| self.preemptions(tenant)).iter().sum();
        assert!(preemptions > 0, "the pool was too small");
        self.scheduler.stop();
        tokio::time::timeout(PATIENCE, self.scheduler.ended().cancelled()).await.expect("an end");
        let page = self.metrics.encode().expect("a page");
        assert!(page.contains("realm_kv_cache_usage_ratio{model=\"m\"} 0.0\n"), "{page}");
        for tenant in ["a", "b", "c"] {
            let line = format!("realm_kv_cache_bytes{{tenant=\"{tenant}\",model=\"m\"}} 0\n");
            assert!(page.contains(&line), "{page}");
        }
        self.stop().await;
    }

    async fn stop(self) {
        self.scheduler.stop();
        tokio::time::timeout(PATIENCE, self.scheduler.ended().cancelled()).await.expect("an end");
        for tenant in ["a", "b"] {
            let labels = Self::labels(tenant);
            assert_eq!(self.metrics.queue_depth.get_or_create(&labels).get(), 0);
            assert_eq!(self.metrics.requests_running.get_or_create(&labels).get(), 0);
        }
    }
}

/// The text, the number of pieces' tokens, and how it ended.
async fn outcome(mut events: EventReceiver) -> (String, Result<Finish, Failure>) {
    let mut text = String::new();
    let reading = async {
        loop {
            match events.recv().await.expect("a last event") {
                Event::Output(output) => text.push_str(&output.text),
                Event::Scored(_) => {}
                Event::Finished(finish) => return Ok(finish),
                Event::Failed(failure) => return Err(failure),
            }
        }
    };
    let end = tokio::time::timeout(PATIENCE, reading).await.expect("the sequence ends");
    (text, end)
}

async fn outcomes(events: Vec<EventReceiver>) -> Vec<(String, Finish)> {
    let mut all = Vec::new();
    for events in events {
        let (text, end) = outcome(events).await;
        all.push((text, end.expect("a finish")));
    }
    all
}

#[tokio::test]
async fn sixteen_prompts_with_a_common_beginning_are_computed_once() {
    let bench = Setup::default().start();
    let prompt = |own: u32| [words(1, 448), words(100 + own, 64)].concat();
    let requests = |count| (0..count).map(|own| request(prompt(own), 1, 0.0)).collect::<Vec<_>>();
    let ends = outcomes(bench.submit(&tenant("a"), requests(16))).await;
    assert_eq!(bench.computed(), 512 + 15 * 64, "5.6 times less than 16 x 512");
    let cached: Vec<usize> = ends.iter().map(|(_, finish)| finish.cached_tokens).collect();
    assert_eq!(cached, [vec![0], vec![448; 15]].concat());
    assert_eq!(bench.cached("a"), 15 * 448);
    // Another tenant with the same prompt finds nothing of it.
    let before = bench.computed();
    let ends = outcomes(bench.submit(&tenant("b"), requests(1))).await;
    assert_eq!((bench.computed() - before, ends[0].1.cached_tokens), (512, 0));
    assert_eq!(bench.cached("b"), 0);
    bench.stop().await;
}

#[tokio::test]
async fn the_choices_of_a_prompt_share_it() {
    // Its first choice goes on, or has ended by then; the prompt ends inside a page.
    for (prompt, tokens) in [(100, 5), (100, 1), (20, 5), (20, 1)] {
        let bench = Setup::default().start();
        let requests = vec![request(words(1, prompt), tokens, 0.0); 3];
        let ends = outcomes(bench.submit(&tenant("a"), requests)).await;
        assert_eq!(bench.computed(), prompt + 2 + 3 * (tokens - 1));
        assert!(ends.iter().all(|end| end == &ends[0]), "{ends:?}");
        assert_eq!((ends[0].1.cached_tokens, bench.cached("a")), (0, 0), "the prompt counts once");
        bench.stop().await;
    }
}

#[tokio::test]
async fn who_gives_way_says_the_same_in_the_end() {
    let requests = |temperature| -> Vec<SequenceRequest> {
        (0..4).map(|own| request(words(own, 20 + own as usize), 80, temperature)).collect()
    };
    for temperature in [0.0, 0.8] {
        let undisturbed = Setup::default().start();
        let expected = outcomes(undisturbed.submit(&tenant("a"), requests(temperature))).await;
        assert_eq!(undisturbed.preemptions("a"), 0);
        undisturbed.stop().await;
        // Four pages for sequences that come to need four each.
        let bench = Setup { kv_tokens: Some(128), parallel: 4, ..Setup::default() }.start();
        let texts = outcomes(bench.submit(&tenant("a"), requests(temperature))).await;
        assert!(bench.preemptions("a") > 0);
        assert_eq!(texts, expected, "temperature {temperature}");
        bench.stop().await;
    }
}

#[tokio::test]
async fn the_tenant_that_holds_most_gives_way() {
    let bench = Setup { kv_tokens: Some(256), parallel: 4, ..Setup::default() }.start();
    let small = bench.submit(&tenant("b"), vec![request(words(9, 20), 60, 0.0)]);
    let large = (0..3).map(|own| request(words(own, 20), 90, 0.0)).collect();
    let large = bench.submit(&tenant("a"), large);
    outcomes(small).await;
    outcomes(large).await;
    assert!(bench.preemptions("a") > 0);
    assert_eq!(bench.preemptions("b"), 0, "it never held most");
    bench.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_while_its_sequence_gives_way_costs_nothing_more() {
    let bench = Setup { kv_tokens: Some(128), parallel: 2, ..Setup::default() }.start();
    let requests = vec![request(words(1, 20), 90, 0.0), request(words(2, 20), 90, 0.0)];
    let mut events = {
        // Held meanwhile, so that pages do not run out before the client is known.
        let mut client = bench.client.lock().unwrap();
        let mut events = bench.submit(&tenant("a"), requests);
        *client = events.pop();
        events
    };
    let (_, end) = outcome(events.remove(0)).await;
    assert_eq!(end.expect("a finish").completion_tokens, 90);
    assert_eq!((bench.preemptions("a"), bench.scheduler.waiting()), (1, 0));
    let steps = bench.steps.lock().unwrap().clone();
    let alone = steps.iter().rposition(|step| step.len() == 2).expect("they ran together") + 1;
    assert!(steps[alone..].iter().all(|step| step.len() == 1 && step[0].1 == 1), "only decodes");
    bench.stop().await;
}

#[tokio::test]
async fn a_sequence_that_never_fits_says_so() {
    let bench = Setup { always_full: true, ..Setup::default() }.start();
    let events = bench.submit(&tenant("a"), vec![request(words(1, 20), 5, 0.0); 2]);
    for events in events {
        let (_, end) = outcome(events).await;
        assert_eq!(end, Err(Failure::TooLarge { missing: 2 }));
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_long_prompt_never_stalls_an_answer() {
    let bench = Setup { prefill_tokens: 24, ..Setup::default() }.start();
    let stream = bench.submit(&tenant("a"), vec![request(words(1, 10), 900, 0.0)]).remove(0);
    let long = bench.submit(&tenant("b"), vec![request(words(2, 900), 1, 0.0)]).remove(0);
    let (_, end) = outcome(stream).await;
    end.expect("a finish");
    outcome(long).await.1.expect("a finish");
    let steps = bench.steps.lock().unwrap().clone();
    let streaming = steps[0][0].0;
    let last = steps.iter().rposition(|step| step.iter().any(|(id, _)| *id == streaming)).unwrap();
    let mut beside = 0;
    for step in &steps[1..=last] {
        assert!(step.contains(&(streaming, 1)), "every step has the answer's token: {step:?}");
        let prompt: usize = step.iter().filter(|(id, _)| *id != streaming).map(|(_, n)| n).sum();
        assert!(prompt <= 24, "{step:?}");
        beside += prompt;
    }
    assert!(beside > 0, "the prompt was read beside the answer");
    bench.stop().await;
}

/// Many sequences of three tenants in a pool that holds few of them, with common beginnings and clients that leave: whoever
/// stays gets the text that it gets in a large pool, and in the end nothing is held.
#[tokio::test]
async fn a_crowd_in_a_small_pool_says_the_same_as_in_a_large_one() {
    let prompt =
        |at: u32| [words(at % 5, 40 + (at % 3) as usize * 16), words(200 + at, 9)].concat();
    let job = |at: u32| request(prompt(at), 20 + (at * 13 % 90) as usize, 0.0);
    let submit = |bench: &Bench| -> Vec<EventReceiver> {
        let one = |at: u32| bench.submit(&tenant(["a", "b", "c"][at as usize % 3]), vec![job(at)]);
        (0..48).flat_map(one).collect()
    };
    let large = Setup::default().start();
    let expected = outcomes(submit(&large)).await;
    assert_eq!(large.metrics.preemptions.get_or_create(&Bench::labels("a")).get(), 0);
    large.stop().await;

    // Guesses of next tokens come and go in the same pages.
    for max_draft_tokens in [0, 8] {
        let setup =
            Setup { kv_tokens: Some(352), parallel: 8, max_draft_tokens, ..Setup::default() };
        let bench = setup.start();
        let mut stayed = Vec::new();
        for (at, events) in submit(&bench).into_iter().enumerate() {
            if at % 7 == 3 {
                drop(events);
            } else {
                stayed.push((at, events));
            }
        }
        for (at, events) in stayed {
            let (text, end) = outcome(events).await;
            let tokens = end.expect("a finish").completion_tokens;
            let (expected_text, expected) = &expected[at];
            assert_eq!((&text, tokens), (expected_text, expected.completion_tokens), "{at}");
        }
        bench.all_let_go().await;
    }
}
