//! Requests whose prompts begin alike inside a tenant, as system prompts and conversations do: how much of the prompts
//! is not computed again, and how soon a later request has its first token.

use realm_engine::engine::PrefixSalt;
use serde::Serialize;

use super::{runner::Runner, spread::Spread};

/// Who asks for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Requests {
    /// Tenants, each with a beginning of its own.
    pub tenants: usize,
    /// Requests of each tenant, one after the other, those of all tenants in turn.
    pub each: usize,
    /// Tokens of a prompt.
    pub prompt: usize,
    /// Of them, those that all prompts of a tenant begin with.
    pub shared: usize,
}

/// What was computed and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SharedPrefix {
    /// Tenants.
    pub tenants: usize,
    /// Requests of each.
    pub requests_per_tenant: usize,
    /// Tokens of a prompt.
    pub prompt_tokens: usize,
    /// Tokens that all prompts of a tenant begin with.
    pub shared_tokens: usize,
    /// Tokens of all prompts.
    pub total_tokens: usize,
    /// Tokens of them that had to be computed.
    pub computed_tokens: usize,
    /// How many times less work that was.
    pub work_saved: f64,
    /// Until the first token of each tenant's first request.
    pub first_seconds: Option<Spread>,
    /// Until the first token of later requests.
    pub later_seconds: Option<Spread>,
}

/// Runs the requests; the runner needs room for one sequence and for all tenants' prompts.
pub(super) fn measure(runner: &mut Runner, requests: Requests) -> anyhow::Result<SharedPrefix> {
    let Requests { tenants, each, prompt, shared } = requests;
    let beginnings: Vec<_> = (0..tenants).map(|_| runner.random(shared)).collect();
    let (mut computed, mut first, mut later) = (0, Vec::new(), Vec::new());
    for request in 0..each {
        for (tenant, beginning) in beginnings.iter().enumerate() {
            let mut tokens = beginning.clone();
            tokens.extend(runner.random(prompt - shared));
            let salt = PrefixSalt::Private(format!("tenant-{tenant}").into());
            let (seconds, reused) = runner.request(salt, &tokens)?;
            computed += prompt - reused;
            if request == 0 { &mut first } else { &mut later }.push(seconds);
        }
    }
    let total = tenants * each * prompt;
    Ok(SharedPrefix {
        tenants,
        requests_per_tenant: each,
        prompt_tokens: prompt,
        shared_tokens: shared,
        total_tokens: total,
        computed_tokens: computed,
        work_saved: total as f64 / computed.max(1) as f64,
        first_seconds: Spread::of(&first),
        later_seconds: Spread::of(&later),
    })
}
