//! What an agent is given: the request that it answers, and what it works with.

use std::sync::Arc;

use realm_engine::{engine::Model, sampler::SamplerParams};
use realm_sandbox::{
    Program,
    wire::{Prompt, Request},
};

use crate::{
    admission::ledger::Lease,
    constraint::Constraints,
    metrics::{Metrics, TenantLabels},
    scheduler::Scheduler,
    tenant::Tenant,
};

/// A request of a tenant whose program is an agent.
#[derive(Debug)]
pub struct AgentOrder {
    /// The program.
    pub program: Arc<Program>,
    /// What it is told of the request.
    pub request: Request,
    /// The request's prompt, as the program sees it.
    pub prompt: Prompt,
    /// Its tokens, which the tenant's limits have counted.
    pub prompt_tokens: usize,
    /// How tokens are chosen where the agent does not say; with a seed.
    pub sampling: SamplerParams,
    /// Strings that end the answer.
    pub stop: Vec<String>,
    /// Tokens that all of its spans may have together.
    pub max_tokens: usize,
    /// Tokens that each of its contexts may have.
    pub context_length: usize,
    /// Whose request it is.
    pub tenant: Arc<Tenant>,
    /// What the request holds of the tenant's limits.
    pub lease: Lease,
}

/// What agents work with: the open model and what counts.
#[derive(Debug, Clone)]
pub struct Workshop {
    /// The model.
    pub model: Arc<Model>,
    /// Compiles what spans have to be.
    pub constraints: Arc<Constraints>,
    /// Where spans are generated.
    pub scheduler: Scheduler,
    /// Counters.
    pub metrics: Metrics,
    /// Whose they are.
    pub labels: TenantLabels,
}
