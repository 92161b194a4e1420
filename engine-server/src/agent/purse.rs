//! What an agent may spend: the tokens of its request, and what its tenant's limits leave. What it spends is counted as
//! it happens.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use realm_sandbox::wire::InferenceFailure;

use super::order::Workshop;
use crate::{
    admission::{exceeded::Exceeded, ledger::Lease},
    metrics::{LimitLabels, Metrics, TenantLabels},
    scheduler::event::{Finish, FinishReason},
};

/// The tokens of one agent's request.
#[derive(Debug)]
pub(super) struct Purse {
    lease: Lease,
    /// Whether anything was read: from then on the request's prompt counts.
    begun: bool,
    /// Of the request's prompt, whose tokens are counted already, what was not read yet.
    prepaid: usize,
    prompt_tokens: usize,
    max_tokens: usize,
    generated: usize,
    /// What the first sequence found computed.
    cached: Option<usize>,
    metrics: Metrics,
    labels: TenantLabels,
}

impl Purse {
    pub(super) fn new(
        lease: Lease,
        prompt_tokens: usize,
        max_tokens: usize,
        workshop: &Workshop,
    ) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            lease,
            begun: false,
            prepaid: prompt_tokens,
            prompt_tokens,
            max_tokens,
            generated: 0,
            cached: None,
            metrics: workshop.metrics.clone(),
            labels: workshop.labels.clone(),
        }))
    }

    /// Pays for tokens that are read into a context. As many as the request's prompt has are paid already.
    pub(super) fn read(&mut self, tokens: usize) -> Result<(), InferenceFailure> {
        self.begin();
        let prepaid = tokens.min(self.prepaid);
        let more = (tokens - prepaid) as u64;
        if more > 0 {
            let paid = self.lease.read(Timestamp::now(), more);
            paid.map_err(|exceeded| self.refused(exceeded))?;
            self.metrics.prompt_tokens.get_or_create(&self.labels).inc_by(more);
        }
        self.prepaid -= prepaid;
        Ok(())
    }

    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        self.lease.begun();
        let prompt = self.prompt_tokens as u64;
        self.metrics.prompt_tokens.get_or_create(&self.labels).inc_by(prompt);
    }

    /// Tokens that a span may have.
    pub(super) fn span(&self) -> Result<usize, InferenceFailure> {
        let left = self.max_tokens.saturating_sub(self.generated);
        if left == 0 {
            return Err(InferenceFailure::Budget);
        }
        self.lease.more(Timestamp::now()).map_err(|exceeded| self.refused(exceeded))?;
        Ok(left)
    }

    /// Pays for generated tokens.
    pub(super) fn spend(&mut self, tokens: usize) {
        self.generated += tokens;
        self.lease.spend(Timestamp::now(), tokens);
        self.metrics.output_tokens.get_or_create(&self.labels).inc_by(tokens as u64);
    }

    /// Notes what a sequence found computed; the request's counts tell the first one's.
    pub(super) fn found(&mut self, cached: usize) {
        self.cached.get_or_insert(cached.min(self.prompt_tokens));
    }

    /// How the request stands: an answer whose tokens are used up ends for its length.
    pub(super) fn finish(&self) -> Finish {
        let used_up = self.generated >= self.max_tokens;
        Finish {
            reason: if used_up { FinishReason::Length } else { FinishReason::Stop },
            completion_tokens: self.generated,
            cached_tokens: self.cached.unwrap_or(0),
        }
    }

    fn refused(&self, exceeded: Exceeded) -> InferenceFailure {
        tracing::debug!(tenant = self.labels.tenant, %exceeded, "an agent reached a limit");
        let TenantLabels { tenant, model } = self.labels.clone();
        let labels = LimitLabels { tenant, model, limit: exceeded.limit.field() };
        self.metrics.limit_refusals.get_or_create(&labels).inc();
        InferenceFailure::Budget
    }
}

/// Counts are whole between any two statements that could panic.
pub(super) fn lock(purse: &Mutex<Purse>) -> MutexGuard<'_, Purse> {
    purse.lock().unwrap_or_else(PoisonError::into_inner)
}
