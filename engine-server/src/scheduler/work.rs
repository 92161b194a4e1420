//! Where requests hand sequences to the scheduler thread: the queue behind a lock, the wake-up, and the order to stop.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio_util::sync::CancellationToken;

use crate::{
    metrics::TenantLabels,
    scheduler::{
        embedding::Embedding,
        event::SubmitError,
        fairness::Standing,
        queue::{Queue, QueueBounds},
        sequence::Sequence,
        terms::Terms,
    },
    tenant::TenantId,
};

/// A sequence that waits for a place in the batch and for pages of the KV cache.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) sequence: Sequence,
    pub(super) tenant: TenantId,
    pub(super) labels: TenantLabels,
    pub(super) terms: Terms,
    pub(super) since: Instant,
    /// Tokens that were computed for it before it lost its place.
    pub(super) reached: usize,
}

/// What the thread has at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// Nothing.
    Idle,
    /// Sequences whose programs have been asked and have not answered, and no others.
    Asking,
    /// Sequences that can go on.
    Busy,
}

/// What the thread should do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Work,
    Stop,
}

#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
    stopping: CancellationToken,
    ended: CancellationToken,
}

#[derive(Debug)]
struct State {
    queue: Queue<Waiting>,
    /// Requests whose texts are embedded between steps; within the same bounds, counted for themselves.
    embeddings: Queue<Embedding>,
    stopping: bool,
    /// A sequence, a text or an answer of a program has come since the thread last waited for one.
    changed: bool,
}

impl Inbox {
    pub(super) fn new(bounds: QueueBounds) -> Self {
        let (queue, embeddings) = (Queue::new(bounds), Queue::new(bounds));
        let state = State { queue, embeddings, stopping: false, changed: false };
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            stopping: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(super) fn push(&self, tenant: &TenantId, waiting: Vec<Waiting>) -> Result<(), SubmitError> {
        let mut state = self.lock();
        if state.stopping {
            return Err(SubmitError::Ended);
        }
        state.queue.push_all(tenant, waiting)?;
        state.changed = true;
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.stopping.cancel();
        self.wake.notify_one();
    }

    /// A program has answered.
    pub(super) fn answered(&self) {
        self.lock().changed = true;
        self.wake.notify_one();
    }

    /// Waits until there is something to do.
    pub(super) fn await_order(&self, activity: Activity) -> Order {
        let state = self.lock();
        let nothing = |state: &mut State| {
            !state.stopping
                && match activity {
                    Activity::Idle => state.queue.is_empty() && state.embeddings.is_empty(),
                    Activity::Asking => !state.changed,
                    Activity::Busy => false,
                }
        };
        let state = self.wake.wait_while(state, nothing);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.changed = false;
        if state.stopping { Order::Stop } else { Order::Work }
    }

    /// Waits for a sequence, an answer or the order to stop, until a time. `false` when that has come.
    pub(super) fn await_change(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let quiet = |state: &mut State| !state.changed && !state.stopping;
        let waited = self.wake.wait_timeout_while(self.lock(), left, quiet);
        let (mut state, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
        state.changed = false;
        !outcome.timed_out() && !state.stopping
    }

    /// Takes out all that nobody listens to any more.
    pub(super) fn take_abandoned(&self) -> Vec<Waiting> {
        self.lock().queue.take_where(|waiting| waiting.sequence.is_abandoned())
    }

    /// Looks at the first of each tenant's line.
    pub(super) fn with_heads<R>(&self, look: impl FnOnce(&[&Waiting]) -> R) -> R {
        let state = self.lock();
        let heads: Vec<&Waiting> = state.queue.heads().map(|(_, waiting)| waiting).collect();
        look(&heads)
    }

    /// Takes the first of the tenant's line.
    pub(super) fn take(&self, tenant: &TenantId) -> Option<Waiting> {
        self.lock().queue.pop(tenant)
    }

    /// Puts a sequence that lost its place at the head of its tenant's line.
    pub(super) fn put_back(&self, waiting: Waiting) {
        let tenant = waiting.tenant.clone();
        self.lock().queue.push_front(&tenant, waiting);
    }

    pub(super) fn push_embedding(
        &self,
        tenant: &TenantId,
        waiting: Embedding,
    ) -> Result<(), SubmitError> {
        let mut state = self.lock();
        if state.stopping {
            return Err(SubmitError::Ended);
        }
        state.embeddings.push_all(tenant, vec![waiting])?;
        state.changed = true;
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Tenants with texts to embed.
    pub(super) fn embedding_lines(&self) -> Vec<(TenantId, Standing)> {
        let line = |(tenant, waiting): (&TenantId, &Embedding)| (tenant.clone(), waiting.standing);
        self.lock().embeddings.heads().map(line).collect()
    }

    /// Takes the first of the tenant's texts.
    pub(super) fn take_embedding(&self, tenant: &TenantId) -> Option<Embedding> {
        self.lock().embeddings.pop(tenant)
    }

    /// Puts back what is not whole yet.
    pub(super) fn put_back_embedding(&self, waiting: Embedding) {
        let tenant = waiting.tenant.clone();
        self.lock().embeddings.push_front(&tenant, waiting);
    }

    /// Takes out all texts that nobody waits for any more.
    pub(super) fn take_abandoned_embeddings(&self) -> Vec<Embedding> {
        self.lock().embeddings.take_where(Embedding::is_abandoned)
    }

    /// Takes all texts out of a closed queue.
    pub(super) fn take_embeddings(&self) -> Vec<Embedding> {
        self.lock().embeddings.take_where(|_| true)
    }

    /// Closes the queue and returns what is left in it.
    pub(super) fn close(&self) -> Vec<Waiting> {
        let mut state = self.lock();
        state.stopping = true;
        let left = state.queue.take_where(|_| true);
        drop(state);
        self.ended.cancel();
        left
    }

    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    pub(super) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    pub(super) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// The state is whole between any two statements that could panic, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
