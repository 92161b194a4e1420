//! The scheduler: one thread that owns the engine and runs the sequences of all requests together, a step at a time.
//!
//! Continuous batching: a sequence joins at the next step in which the KV cache has room for it, and leaves at the
//! step that ends it. It takes what its tenant has computed before. Who begins, and who is given how much of a step,
//! is decided by what each tenant was given so far ([`fairness`]). When a tenant below its share waits, or pages run
//! out, one sequence of the tenant that has most gives its place up and goes on later; its client sees nothing but a
//! delay. The thread waits for new work only when it has none, and never for a client, a disk or a network: each
//! sequence has a channel with room for all its events. A receiver that is dropped ends its sequence at the next step
//! and frees its KV slot. A panic inside a step fails the sequences in flight; the engine is made anew, at most
//! [`MAX_ENGINE_REBUILDS`] times, after which the scheduler ends and the process must be replaced.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Instant,
};

use realm_engine::engine::{EngineError, MAX_STEP_TOKENS, Model, TokenId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::{Metrics, TenantLabels},
    scheduler::{
        budget::Budget,
        embedding::{Embedding, VectorsReceiver, longest},
        event::{Event, SequenceRequest, SubmitError},
        queue::QueueBounds,
        runner::{Runner, RunnerParts},
        seam::EngineFactory,
        sequence::Sequence,
        terms::Terms,
        work::{Inbox, Waiting},
    },
    tenant::Tenant,
};

mod asking;
pub mod batch;
pub mod budget;
pub mod embedding;
mod embedding_turn;
pub mod event;
pub mod fairness;
mod meter;
pub mod queue;
pub mod room;
mod runner;
pub mod scoring;
pub mod seam;
mod sequence;
pub(crate) mod speculation;
mod steering;
pub mod stop;
pub mod terms;
mod work;

pub use runner::MAX_ENGINE_REBUILDS;

/// How a scheduler runs.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// Sequences in the running batch.
    pub parallel: usize,
    /// Tokens per step.
    pub batch_tokens: usize,
    /// Prompt tokens per step when other sequences decode in it: bounds the time between the tokens of a stream.
    pub prefill_tokens: usize,
    /// Tokens that are guessed for a sequence in a step, at most; 0 guesses none.
    pub max_draft_tokens: usize,
    /// Bounds of the queue before the batch.
    pub queue: QueueBounds,
    /// Metric label `model`.
    pub model_label: String,
}

/// A scheduler cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine refused its options.
    #[error("cannot start the engine: {0}")]
    Engine(#[from] EngineError),
    /// No thread.
    #[error("cannot start the scheduler thread: {0}")]
    Thread(#[from] io::Error),
}

/// The way to a running scheduler. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scheduler {
    inbox: Arc<Inbox>,
    metrics: Metrics,
    model_label: String,
    /// Bytes of a page of the KV cache.
    page_bytes: usize,
    /// Tokens of a text that is embedded, at most.
    longest_text: usize,
}

/// The events of one sequence; dropping it cancels the sequence.
pub type EventReceiver = mpsc::Receiver<Event>;

impl Scheduler {
    /// Makes the engine and starts the thread.
    pub fn start(
        options: SchedulerOptions,
        model: Arc<Model>,
        mut factory: EngineFactory,
        metrics: Metrics,
    ) -> Result<(Self, JoinHandle<()>), StartError> {
        let engine = factory()?;
        let budget = Budget {
            tokens: options.batch_tokens.clamp(1, MAX_STEP_TOKENS),
            prefill_beside_decode: options.prefill_tokens.max(1),
        };
        let inbox = Arc::new(Inbox::new(options.queue));
        let scheduler = Self {
            inbox: Arc::clone(&inbox),
            metrics: metrics.clone(),
            model_label: options.model_label.clone(),
            page_bytes: engine.pages().bytes,
            longest_text: longest(model.info().task, engine.context_length(), budget),
        };
        let runner = Runner::new(RunnerParts {
            parallel: options.parallel.clamp(1, MAX_STEP_TOKENS - 1),
            budget,
            max_draft_tokens: options.max_draft_tokens,
            model_label: options.model_label,
            model,
            engine,
            factory,
            inbox,
            metrics,
        });
        let thread =
            thread::Builder::new().name("realm-scheduler".into()).spawn(move || runner.run())?;
        Ok((scheduler, thread))
    }

    /// Puts all sequences in the queue, or none.
    pub fn submit(
        &self,
        tenant: &Arc<Tenant>,
        requests: Vec<SequenceRequest>,
    ) -> Result<Vec<EventReceiver>, SubmitError> {
        let labels = TenantLabels { tenant: tenant.label.clone(), model: self.model_label.clone() };
        let terms = Terms::of(tenant, self.page_bytes);
        let mut waiting = Vec::with_capacity(requests.len());
        let mut receivers = Vec::with_capacity(requests.len());
        let mut last_prompt = None;
        for mut request in requests {
            if request.prompt.is_empty() {
                return Err(SubmitError::EmptyPrompt);
            }
            if let Some(kv) = terms.kv.filter(|kv| request.prompt.len() > kv.tokens()) {
                let (tokens, limit) = (request.prompt.len(), kv.tokens());
                return Err(SubmitError::KvBudget { tokens, limit, kv_bytes: kv.bytes });
            }
            if let Some(hook) = &mut request.logit_hook {
                let inbox = Arc::clone(&self.inbox);
                hook.wake_with(Arc::new(move || inbox.answered()));
            }
            let prompt = Arc::clone(&request.prompt);
            let repeated = last_prompt.as_ref().is_some_and(|last| Arc::ptr_eq(last, &prompt));
            let (sequence, receiver) = Sequence::new(request, repeated)?;
            last_prompt = Some(prompt);
            waiting.push(Waiting {
                sequence,
                tenant: tenant.id.clone(),
                labels: labels.clone(),
                terms,
                since: Instant::now(),
                reached: 0,
            });
            receivers.push(receiver);
        }
        let count = waiting.len();
        let depth = self.metrics.queue_depth.get_or_create_owned(&labels);
        // Counted before the thread can take them out again.
        depth.inc_by(count as i64);
        let pushed = self.inbox.push(&tenant.id, waiting);
        if pushed.is_err() {
            depth.dec_by(count as i64);
        }
        pushed.map(|()| receivers)
    }

    /// Puts texts in the queue, which are embedded between the steps; each has one token at least and
    /// [`Self::longest_text`] at most.
    pub fn embed(
        &self,
        tenant: &Arc<Tenant>,
        texts: Vec<Arc<[TokenId]>>,
    ) -> Result<VectorsReceiver, SubmitError> {
        if texts.iter().any(|text| text.is_empty()) {
            return Err(SubmitError::EmptyPrompt);
        }
        let labels = TenantLabels { tenant: tenant.label.clone(), model: self.model_label.clone() };
        let standing = Terms::of(tenant, self.page_bytes).standing;
        let (waiting, receiver) =
            Embedding::new(tenant.id.clone(), labels.clone(), standing, texts);
        let depth = self.metrics.queue_depth.get_or_create_owned(&labels);
        depth.inc();
        let pushed = self.inbox.push_embedding(&tenant.id, waiting);
        if pushed.is_err() {
            depth.dec();
        }
        pushed.map(|()| receiver)
    }

    /// Tokens of a text that is embedded, at most.
    pub fn longest_text(&self) -> usize {
        self.longest_text
    }

    /// Ends everything: sequences that run or wait fail with [`event::Failure::Stopping`] at the next step.
    pub fn stop(&self) {
        self.inbox.stop();
    }

    /// Cancelled by [`Self::stop`]: whoever waits for events need not wait for the step that is running.
    pub fn stopping(&self) -> &CancellationToken {
        self.inbox.stopping()
    }

    /// Cancelled when the thread has ended, by [`Self::stop`] or because the engine failed too often.
    pub fn ended(&self) -> &CancellationToken {
        self.inbox.ended()
    }

    /// Sequences that wait.
    pub fn waiting(&self) -> usize {
        self.inbox.len()
    }
}
