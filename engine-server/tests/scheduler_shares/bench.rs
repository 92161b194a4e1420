//! A scheduler on the real engine whose steps are written down: for whom, how many tokens, and who waited.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use realm_engine::{
    engine::{
        Engine, EngineError, EngineOptions, Model, PrefixSalt, SequenceId, StepItem, StepLogits,
        TokenId,
    },
    sampler::SamplerParams,
};
use realm_engine_server::{
    metrics::{Metrics, TenantLabels},
    scheduler::{
        EventReceiver, Scheduler, SchedulerOptions,
        budget::Budget,
        event::{Event, Failure, Finish, Scores, SequenceRequest, SubmitError},
        fairness::{DECODE_COST, PREFILL_COST, Rules},
        queue::QueueBounds,
        seam::StepEngine,
    },
    tenant::{Tenant, TenantId},
};
use tokio::sync::watch;

use crate::tiny_model::{Meta, TinyModel};

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(2);
const CONTEXT: usize = 1024;
const MODEL: &str = "m";
/// Everybody who is in these tests.
const TENANTS: [&str; 9] =
    ["noisy", "quiet", "wordy", "reading", "light", "heavy", "batch", "urgent", "bounded"];
/// The model's token that ends an answer.
const END: TokenId = 257;

/// What a step computed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    /// Tokens of each item, by tenant.
    items: BTreeMap<String, Vec<usize>>,
    /// Pages that each tenant held after it, shared ones counted for each sequence.
    pub(crate) pages: BTreeMap<String, usize>,
    /// Tenants whose sequences waited.
    pub(crate) waiting: BTreeSet<String>,
}

impl Step {
    pub(crate) fn tokens_of(&self, tenant: &str) -> usize {
        self.items.get(tenant).into_iter().flatten().sum()
    }

    pub(crate) fn sequences_of(&self, tenant: &str) -> usize {
        self.items.get(tenant).map_or(0, Vec::len)
    }

    /// Items of one token are answers; a prompt's last token alone is taken for one, too.
    pub(crate) fn cost_of(&self, tenant: &str) -> u64 {
        let cost = |tokens: &usize| match *tokens {
            1 => DECODE_COST,
            tokens => tokens as u64 * PREFILL_COST,
        };
        self.items.get(tenant).into_iter().flatten().map(cost).sum()
    }
}

struct Recorder {
    engine: Engine,
    owners: HashMap<SequenceId, String>,
    metrics: Metrics,
    steps: Arc<Mutex<Vec<Step>>>,
    count: watch::Sender<usize>,
}

impl StepEngine for Recorder {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn new_sequence(&mut self, salt: PrefixSalt) -> Result<SequenceId, EngineError> {
        let owner = match &salt {
            PrefixSalt::Private(name) => name.rsplit('/').next().unwrap_or_default().to_owned(),
            PrefixSalt::Public => String::new(),
        };
        let id = StepEngine::new_sequence(&mut self.engine, salt)?;
        self.owners.insert(id, owner);
        Ok(id)
    }

    fn free_sequence(&mut self, id: SequenceId) {
        self.owners.remove(&id);
        self.engine.free_sequence(id);
    }

    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        let step = self.describe(batch);
        self.steps.lock().unwrap().push(step);
        self.count.send_modify(|count| *count += 1);
        self.engine.step(batch)
    }
}

impl Recorder {
    fn describe(&self, batch: &[StepItem<'_>]) -> Step {
        let mut step = Step::default();
        for item in batch {
            let owner = self.owners[&item.sequence].clone();
            step.items.entry(owner).or_default().push(item.tokens.len());
        }
        for (id, owner) in &self.owners {
            *step.pages.entry(owner.clone()).or_default() += self.engine.pages_held(*id);
        }
        let waits =
            |tenant: &&&str| self.metrics.queue_depth.get_or_create(&labels(tenant)).get() > 0;
        step.waiting = TENANTS.iter().filter(waits).map(|tenant| (*tenant).to_owned()).collect();
        step
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) parallel: usize,
    pub(crate) batch_tokens: usize,
    pub(crate) prefill_tokens: usize,
    pub(crate) max_draft_tokens: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self { parallel: 8, batch_tokens: 512, prefill_tokens: 512, max_draft_tokens: 0 }
    }
}

pub(crate) struct Bench {
    pub(crate) metrics: Metrics,
    scheduler: Scheduler,
    steps: Arc<Mutex<Vec<Step>>>,
    count: watch::Receiver<usize>,
    page_bytes: usize,
}

impl Setup {
    /// The bound of `scheduler::fairness` for this batch.
    pub(crate) fn turn_cost(self) -> u64 {
        let budget =
            Budget { tokens: self.batch_tokens, prefill_beside_decode: self.prefill_tokens };
        Rules { places: self.parallel, budget }.turn_cost()
    }

    pub(crate) fn start(self) -> Bench {
        let mut tiny = TinyModel::new();
        tiny.set("llama.context_length", Meta::U32(CONTEXT as u32));
        let model = tiny.open().expect("the model");
        let options = SchedulerOptions {
            parallel: self.parallel,
            batch_tokens: self.batch_tokens,
            prefill_tokens: self.prefill_tokens,
            max_draft_tokens: self.max_draft_tokens,
            queue: QueueBounds { total: 256, per_tenant: 128 },
            model_label: MODEL.into(),
        };
        let (count, counted) = watch::channel(0);
        let (metrics, steps) = (Metrics::new(), Arc::new(Mutex::new(Vec::new())));
        let engine_options = EngineOptions::new(NonZeroUsize::MIN, CONTEXT, self.parallel);
        let page_bytes = {
            let engine = Engine::new(Arc::<Model>::clone(&model), engine_options);
            StepEngine::pages(&engine.expect("an engine")).bytes
        };
        let (shared, seen, told) = (Arc::clone(&model), metrics.clone(), Arc::clone(&steps));
        let factory = Box::new(move || {
            let engine = Engine::new(Arc::<Model>::clone(&shared), engine_options)?;
            Ok::<Box<dyn StepEngine>, EngineError>(Box::new(Recorder {
                engine,
                owners: HashMap::new(),
                metrics: seen.clone(),
                steps: Arc::clone(&told),
                count: count.clone(),
            }))
        });
        let (scheduler, _thread) =
            Scheduler::start(options, model, factory, metrics.clone()).expect("a start");
        Bench { metrics, scheduler, steps, count: counted, page_bytes }
    }
}

impl Bench {
    pub(crate) fn submit(
        &self,
        tenant: &Arc<Tenant>,
        requests: Vec<SequenceRequest>,
    ) -> Vec<EventReceiver> {
        self.try_submit(tenant, requests).expect("room in the queue")
    }

    pub(crate) fn try_submit(
        &self,
        tenant: &Arc<Tenant>,
        requests: Vec<SequenceRequest>,
    ) -> Result<Vec<EventReceiver>, SubmitError> {
        self.scheduler.submit(tenant, requests)
    }

    /// The tenant with so many pages of the KV cache, and nearly one more.
    pub(crate) fn with_kv_pages(&self, tenant: &Tenant, pages: usize) -> Tenant {
        let mut tenant = tenant.clone();
        tenant.limits.kv_bytes = Some(((pages + 1) * self.page_bytes - 1) as u64);
        tenant
    }

    pub(crate) fn preempted(&self, tenant: &str) -> u64 {
        self.metrics.preemptions.get_or_create(&labels(tenant)).get()
    }

    /// All steps so far.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.steps.lock().unwrap().clone()
    }

    /// Waits until so many steps have begun.
    pub(crate) async fn steps_done(&self, steps: usize) {
        let mut count = self.count.clone();
        let waiting = count.wait_for(|count| *count >= steps);
        tokio::time::timeout(PATIENCE, waiting).await.expect("steps").expect("a scheduler");
    }

    pub(crate) fn yielded(&self, tenant: &str) -> u64 {
        self.metrics.places_yielded.get_or_create(&labels(tenant)).get()
    }

    pub(crate) fn computed(&self, tenant: &str) -> u64 {
        self.metrics.computed_tokens.get_or_create(&labels(tenant)).get()
    }

    pub(crate) fn cached(&self, tenant: &str) -> u64 {
        self.metrics.cached_prompt_tokens.get_or_create(&labels(tenant)).get()
    }

    pub(crate) async fn stop(self) {
        self.scheduler.stop();
        tokio::time::timeout(PATIENCE, self.scheduler.ended().cancelled()).await.expect("an end");
        for tenant in TENANTS {
            assert_eq!(self.metrics.queue_depth.get_or_create(&labels(tenant)).get(), 0);
            assert_eq!(self.metrics.requests_running.get_or_create(&labels(tenant)).get(), 0);
        }
    }
}

pub(crate) fn labels(tenant: &str) -> TenantLabels {
    TenantLabels { tenant: tenant.into(), model: MODEL.into() }
}

pub(crate) fn tenant(name: &str) -> Arc<Tenant> {
    let id = TenantId::Named { namespace: "n".into(), name: name.into() };
    Arc::new(Tenant::unlimited(id, name))
}

/// Never ends by itself.
pub(crate) fn request(prompt: Vec<TokenId>, max_tokens: usize) -> SequenceRequest {
    let sampling = SamplerParams {
        temperature: 0.0,
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

/// Tokens that begin differently for each seed.
pub(crate) fn words(seed: u32, count: usize) -> Vec<TokenId> {
    let word = |at: u32| (at * at * 7 + at * seed + seed / 250 * 3 + seed) % 250;
    [seed % 250, seed / 250 % 250].into_iter().chain((2..count as u32).map(word)).collect()
}

/// How a sequence ended.
pub(crate) async fn ended(mut events: EventReceiver) -> Result<Finish, Failure> {
    let reading = async {
        loop {
            match events.recv().await.expect("a last event") {
                Event::Scored(_) | Event::Output(_) => {}
                Event::Finished(finish) => return Ok(finish),
                Event::Failed(failure) => return Err(failure),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the sequence ends")
}
