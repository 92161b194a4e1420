//! One tenant's program, ready to run: its component linked to what is granted, its terms, and its record.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use thiserror::Error;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use crate::{
    admission::Artifact,
    breach::{Breach, FailurePolicy, Hook},
    breaker::{Breaker, Health},
    budget::MinuteBudget,
    capabilities,
    counters::Counters,
    engine::Engine,
    grants::{Capability, Grants, PACKAGE, TYPES, VERSION},
    host::Host,
    limits::Limits,
    state::State,
};

/// What a tenant agreed to for its program.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Bounds.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Grants,
    /// What becomes of a request whose hook fails.
    pub policies: Policies,
}

/// What becomes of a request, by hook. A program that cannot start fails as its `on-request` does; an agent that fails
/// always ends its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policies {
    /// For `on-request`, and for starting.
    pub on_request: FailurePolicy,
    /// For `on-tokens`.
    pub on_tokens: FailurePolicy,
    /// For `on-logits`.
    pub on_logits: FailurePolicy,
    /// For `on-response`.
    pub on_response: FailurePolicy,
}

impl Policies {
    /// The policy of a hook.
    pub fn of(&self, hook: Hook) -> FailurePolicy {
        match hook {
            Hook::Start | Hook::OnRequest => self.on_request,
            Hook::OnTokens => self.on_tokens,
            Hook::OnLogits => self.on_logits,
            Hook::OnResponse => self.on_response,
            Hook::Run => FailurePolicy::Closed,
        }
    }
}

/// A program that may run.
pub struct Program {
    pub(crate) engine: Arc<Engine>,
    pub(crate) ready: InstancePre<State>,
    pub(crate) exports: Exports,
    pub(crate) terms: Terms,
    pub(crate) host: Host,
    ledger: Mutex<Ledger>,
}

/// What a program remembers over requests.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) breaker: Breaker,
    pub(crate) budget: MinuteBudget,
    pub(crate) counters: Counters,
}

/// Hooks that the component exports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exports {
    pub(crate) on_request: Option<ComponentExportIndex>,
    pub(crate) on_tokens: Option<ComponentExportIndex>,
    pub(crate) on_logits: Option<ComponentExportIndex>,
    pub(crate) on_response: Option<ComponentExportIndex>,
    pub(crate) run: Option<ComponentExportIndex>,
}

/// Why an admitted program cannot be used under its terms.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It wants what exists but is not granted.
    #[error(
        "the program imports `{0}`, which is not granted; grant it in spec.program.grants or build without it"
    )]
    NotGranted(Capability),
    /// It wants what does not exist here.
    #[error(
        "the program imports `{0}`, which no host of this server offers; programs have no files, sockets, environment \
         or other WASI interface, so build with WASI stubbed out"
    )]
    UnknownImport(String),
    /// It has no hook.
    #[error(
        "the program exports none of request-hook, token-hook, logit-hook, response-hook and agent of realm:tenant@0.1.0"
    )]
    NoHook,
    /// Its interfaces differ from ours.
    #[error("the program does not fit the interfaces of realm:tenant@0.1.0: {0}")]
    Mismatch(String),
    /// Its first instance failed.
    #[error("the program cannot start: {0}")]
    Start(#[from] Breach),
}

impl Program {
    /// Links a program to what is granted, and starts it once, under its own limits, to see that it can run.
    pub fn new(
        engine: &Arc<Engine>,
        artifact: &Artifact,
        terms: Terms,
        host: Host,
    ) -> Result<Arc<Self>, LoadError> {
        let component = artifact.component();
        check_imports(component, terms.grants)?;
        let exports = Exports::of(component);
        if exports.is_empty() {
            return Err(LoadError::NoHook);
        }
        let ready = capabilities::linker(engine.inner(), terms.grants)
            .and_then(|linker| linker.instantiate_pre(component))
            .map_err(|error| LoadError::Mismatch(format!("{error:#}")))?;
        let Terms { limits, grants, policies } = terms;
        let limits = limits.within_bounds();
        let ledger = Ledger {
            breaker: Breaker::default(),
            budget: MinuteBudget::new(limits.minute_time, host.clock.elapsed()),
            counters: Counters::default(),
        };
        let program = Arc::new(Self {
            engine: Arc::clone(engine),
            ready,
            exports,
            terms: Terms { limits, grants, policies },
            host,
            ledger: Mutex::new(ledger),
        });
        program.check_hooks()?;
        Ok(program)
    }

    /// How the program does.
    pub fn health(&self) -> Health {
        self.ledger().breaker.health()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.ledger().counters.clone()
    }

    /// Whether the program has a hook.
    pub fn has(&self, hook: Hook) -> bool {
        self.exports.of_hook(hook).is_some()
    }

    /// Bounds of the program.
    pub fn limits(&self) -> &Limits {
        &self.terms.limits
    }

    /// The record; a thread that panicked with it has left whole numbers.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Program").field("exports", &self.exports).finish_non_exhaustive()
    }
}

impl Exports {
    fn of(component: &Component) -> Self {
        let find = |interface: &str, function: &str| {
            let interface = format!("{PACKAGE}{interface}{VERSION}");
            let instance = component.get_export_index(None, &interface)?;
            component.get_export_index(Some(&instance), function)
        };
        Self {
            on_request: find("request-hook", "on-request"),
            on_tokens: find("token-hook", "on-tokens"),
            on_logits: find("logit-hook", "on-logits"),
            on_response: find("response-hook", "on-response"),
            run: find("agent", "run"),
        }
    }

    fn of_hook(&self, hook: Hook) -> Option<ComponentExportIndex> {
        match hook {
            Hook::Start => None,
            Hook::OnRequest => self.on_request,
            Hook::OnTokens => self.on_tokens,
            Hook::OnLogits => self.on_logits,
            Hook::OnResponse => self.on_response,
            Hook::Run => self.run,
        }
    }

    fn is_empty(&self) -> bool {
        Hook::ALL.iter().all(|hook| self.of_hook(*hook).is_none())
    }
}

/// Names the import that is not granted before the linker would, in words that help.
fn check_imports(component: &Component, grants: Grants) -> Result<(), LoadError> {
    let kind = component.component_type();
    for (name, _) in kind.imports(component.engine()) {
        match Capability::of_import(name) {
            Some(capability) if grants.has(capability) => {}
            Some(capability) => return Err(LoadError::NotGranted(capability)),
            None if name == TYPES => {}
            None => return Err(LoadError::UnknownImport(name.to_owned())),
        }
    }
    Ok(())
}
