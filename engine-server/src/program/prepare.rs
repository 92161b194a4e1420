//! From the address in a manifest to a program that runs: fetched, verified, admitted, linked and started once.

use std::{sync::Arc, time::Duration};

use realm_crds::realm_tenant::program::{
    Grant, ProgramFailurePolicy, ProgramLimits, TenantProgram,
};
use realm_engine::engine::Model;
use realm_sandbox::{
    Admission, Cache, Capability, Engine, FailurePolicy, Hook, Limits, LoadError, Policies,
    Program, Terms,
    admission::{CacheError, Refusal},
    engine::{DEFAULT_INSTANCES, EngineError},
    limits::{DEFAULT_WASM_BYTES, Deadlines},
    memory_store::MemoryStore,
};
use thiserror::Error;

use super::{
    fetch::{Unfetched, fetch},
    host::host,
    options::ProgramOptions,
};
use crate::{
    artifact::{FetchError, http_client},
    tenant::TenantId,
};

/// Why a tenant's program is not used.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    /// This process was started without a sandbox.
    #[error("this server runs no programs")]
    NoSandbox,
    /// The sandbox does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The folder.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No HTTP client.
    #[error(transparent)]
    Client(#[from] FetchError),
    /// The component is not to be had.
    #[error(transparent)]
    Unfetched(#[from] Unfetched),
    /// It is not admitted.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It does not fit its grants or our interfaces, or does not start.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It is an agent and something else.
    #[error(
        "the program is an agent and has the hook {0}, too; an agent answers by itself, so leave the hook out"
    )]
    MoreThanAgent(Hook),
    /// Admission panicked.
    #[error("admitting the program failed; this is a fault of the server, its log has the cause")]
    Fault,
}

impl Trouble {
    /// Whether another attempt may succeed.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unfetched(cause) => cause.may_pass(),
            Self::Engine(_)
            | Self::Cache(_)
            | Self::Client(_)
            | Self::Fault
            | Self::Load(LoadError::Start(_)) => true,
            Self::NoSandbox | Self::Refused(_) | Self::Load(_) | Self::MoreThanAgent(_) => false,
        }
    }
}

/// What preparing needs, made with the first program.
#[derive(Debug)]
pub(super) struct Kitchen {
    engine: Arc<Engine>,
    admission: Arc<Admission>,
    client: reqwest::Client,
    model: Arc<Model>,
}

impl Kitchen {
    /// Starts the sandbox.
    pub(super) fn open(
        options: Option<ProgramOptions>,
        model: Arc<Model>,
    ) -> Result<Self, Trouble> {
        let options = options.ok_or(Trouble::NoSandbox)?;
        let engine = Arc::new(Engine::new(DEFAULT_INSTANCES)?);
        let cache = Cache::open(options.folder)?;
        let admission =
            Admission::new(Arc::clone(&engine), options.compiler, cache, DEFAULT_WASM_BYTES);
        Ok(Self { engine, admission: Arc::new(admission), client: http_client()?, model })
    }

    /// Prepares one program.
    pub(super) async fn prepare(
        &self,
        tenant: &TenantId,
        wanted: &TenantProgram,
        store: &Arc<MemoryStore>,
    ) -> Result<Arc<Program>, Trouble> {
        let wasm = fetch(&self.client, &wanted.url, &wanted.sha256, DEFAULT_WASM_BYTES).await?;
        let (engine, admission) = (Arc::clone(&self.engine), Arc::clone(&self.admission));
        let (terms, host) = (terms(wanted), host(tenant, &self.model, store));
        let admitting = tokio::task::spawn_blocking(move || {
            let admitted = admission.admit(&wasm)?;
            let program = Program::new(&engine, &admitted.artifact, terms, host)?;
            check_alone(&program)?;
            Ok(program)
        });
        admitting.await.unwrap_or(Err(Trouble::Fault))
    }
}

/// An agent has no answer of the model's that other hooks could look at.
fn check_alone(program: &Program) -> Result<(), Trouble> {
    let other = |hook: &Hook| *hook != Hook::Run && program.has(*hook);
    match Hook::ALL.into_iter().find(other) {
        Some(hook) if program.has(Hook::Run) => Err(Trouble::MoreThanAgent(hook)),
        _ => Ok(()),
    }
}

fn terms(wanted: &TenantProgram) -> Terms {
    let policy = match wanted.failure_policy {
        ProgramFailurePolicy::Closed => FailurePolicy::Closed,
        ProgramFailurePolicy::Open => FailurePolicy::Open,
    };
    Terms {
        limits: limits(wanted.limits),
        grants: wanted.grants.iter().copied().map(capability).collect(),
        policies: Policies {
            on_request: policy,
            on_tokens: policy,
            on_logits: policy,
            on_response: policy,
        },
    }
}

fn limits(wanted: ProgramLimits) -> Limits {
    let millis = |millis: u32| Duration::from_millis(u64::from(millis));
    let default = Limits::default();
    Limits {
        memory_bytes: (wanted.memory_mib as usize) << 20,
        deadlines: Deadlines {
            start: millis(wanted.hook_millis),
            on_request: millis(wanted.hook_millis),
            on_response: millis(wanted.hook_millis),
            on_tokens: millis(wanted.token_millis),
            on_logits: millis(wanted.token_millis),
            run: millis(wanted.run_millis),
        },
        run_time: Duration::from_secs(wanted.run_seconds.into()),
        request_time: millis(wanted.request_millis),
        minute_time: millis(wanted.minute_millis),
        ..default
    }
}

fn capability(grant: Grant) -> Capability {
    match grant {
        Grant::Log => Capability::Log,
        Grant::Metrics => Capability::Metrics,
        Grant::Clock => Capability::Clock,
        Grant::Random => Capability::Random,
        Grant::Tokenizer => Capability::Tokenizer,
        Grant::Store => Capability::Store,
        Grant::Inference => Capability::Inference,
    }
}

#[cfg(test)]
mod tests {
    use realm_crds::realm_tenant::program::{
        DEADLINE_MILLIS_MAX, MEMORY_MIB_MAX, MINUTE_MILLIS_MAX, RUN_SECONDS_MAX,
    };

    use super::*;

    /// The manifest's crate knows the sandbox's only by number.
    #[test]
    fn a_manifest_without_limits_gets_those_of_the_sandbox() {
        assert_eq!(limits(ProgramLimits::default()), Limits::default());
    }

    /// What a manifest may say, the sandbox does not cut.
    #[test]
    fn the_largest_limits_of_a_manifest_are_within_the_sandboxs() {
        let largest = limits(ProgramLimits {
            memory_mib: MEMORY_MIB_MAX,
            hook_millis: DEADLINE_MILLIS_MAX,
            token_millis: DEADLINE_MILLIS_MAX,
            request_millis: MINUTE_MILLIS_MAX,
            minute_millis: MINUTE_MILLIS_MAX,
            run_millis: MINUTE_MILLIS_MAX,
            run_seconds: RUN_SECONDS_MAX,
        });
        assert_eq!(largest.clone().within_bounds(), largest);
    }
}
