//! Where a generating request stands when its tenant and model are known: what its tenant's limits leave for it, its turn
//! among the tenant's requests, and what counts it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    admission::{exceeded::Exceeded, ledger::Lease},
    api::{answers::Around, context::RequestContext, error::ApiError, prepare::Room},
    metrics::{LimitLabels, ReasonLabels, TenantLabels},
    scheduler::event::{Failure, SubmitError},
    state::{AppState, Loaded},
    tenant::Tenant,
};

/// A request, its tenant and the model that answers it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// What all requests share.
    pub state: &'a AppState,
    /// The request.
    pub context: &'a RequestContext,
    /// Whose it is.
    pub tenant: &'a Arc<Tenant>,
    /// The model.
    pub loaded: &'a Loaded,
}

impl<'a> Place<'a> {
    /// Of a request that has entered.
    pub(super) fn new(
        state: &'a AppState,
        context: &'a RequestContext,
        loaded: &'a Loaded,
    ) -> Result<Self, ApiError> {
        let tenant =
            context.tenant().ok_or_else(|| ApiError::internal("the request has no tenant"))?;
        Ok(Self { state, context, tenant, loaded })
    }

    /// Bounds of prompts and answers.
    pub(super) fn room(&self) -> Room {
        let default_output = self.state.limits().default_output_tokens;
        Room::new(self.loaded.context_length, default_output, &self.tenant.limits)
    }

    /// Labels of what the request counts.
    pub(super) fn labels(&self) -> TenantLabels {
        TenantLabels {
            tenant: self.tenant.label.clone(),
            model: self.state.serving().config.served_name.clone(),
        }
    }

    /// Where its answers belong.
    pub(super) fn around(&self) -> Around {
        let (metrics, labels) = (self.state.metrics().clone(), self.labels());
        let stopping = self.loaded.scheduler.stopping().clone();
        Around { metrics, labels, context: self.context.clone(), stopping }
    }

    /// Counts the request's tokens and waits for its turn among the tenant's requests. `answer` is what to set aside for
    /// the answers, when the request names their length.
    pub(super) async fn take_turn(
        &self,
        prompt_tokens: usize,
        answer: Option<usize>,
    ) -> Result<Lease, ApiError> {
        let reached = |exceeded| limit_reached(self.state, self.context, self.tenant, exceeded);
        let account = self.state.ledger().account(&self.tenant.id);
        let answer = answer.unwrap_or(0) as u64;
        let mut lease = account
            .open(self.tenant, Timestamp::now(), prompt_tokens as u64, answer)
            .map_err(reached)?;
        tokio::select! {
            turn = lease.turn() => turn.map_err(reached)?,
            () = self.loaded.scheduler.stopping().cancelled() => {
                return Err(Failure::Stopping.into());
            }
        }
        Ok(lease)
    }

    /// Counts what the queue refuses.
    pub(super) fn queued<T>(&self, submitted: Result<T, SubmitError>) -> Result<T, ApiError> {
        submitted.map_err(|error| {
            tracing::debug!(request_id = self.context.id(), %error, "not queued");
            let reason = ReasonLabels { reason: "queue" };
            self.state.metrics().rejections.get_or_create(&reason).inc();
            error.into()
        })
    }
}

/// Counts a refusal by a limit of the tenant.
pub(super) fn limit_reached(
    state: &AppState,
    context: &RequestContext,
    tenant: &Tenant,
    exceeded: Exceeded,
) -> ApiError {
    tracing::debug!(request_id = context.id(), %exceeded, "refused by a limit");
    let labels = LimitLabels {
        tenant: tenant.label.clone(),
        model: state.serving().config.served_name.clone(),
        limit: exceeded.limit.field(),
    };
    state.metrics().limit_refusals.get_or_create(&labels).inc();
    exceeded.into()
}

/// Computes beside the async threads.
pub(super) async fn beside<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, what, "work beside the async threads failed");
        ApiError::internal(format!("{what} failed; the cause is in the server's log"))
    })
}
