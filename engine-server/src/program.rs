//! Tenants' programs in this server: which tenant has which, how far each is on its way from an address to code that
//! runs, and the one that a request gets. Preparing takes place in the background, one program after the other; a
//! request never waits for it.

mod fetch;
mod grammar;
mod host;
mod logit_hook;
mod logit_threads;
mod options;
mod prepare;
mod report;
mod standing;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use realm_crds::{
    engine_config::TenantTable,
    realm_tenant::program::{ProgramFailurePolicy, TenantProgram},
};
use realm_engine::engine::Model;
use realm_sandbox::{Program, SharedRun, host::SystemClock, memory_store::MemoryStore};
use tokio::sync::Notify;

use crate::{
    health::ProgramDocument,
    metrics::programs::ProgramMetrics,
    tenant::{Tenant, TenantId},
};
pub use grammar::{UnusableConstraint, grammar};
pub use logit_hook::{Decided, LogitHook, Wake};
use logit_threads::LogitThreads;
pub use options::ProgramOptions;
use prepare::{Kitchen, Trouble};
pub use standing::Standing;

/// Bytes of one tenant's keys and values.
const STORE_BYTES: usize = 1 << 20;
/// Time after which a program that could not be had is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// A tenant's program, as a request meets it.
#[derive(Debug, Clone)]
pub struct TenantStanding {
    /// How far it is.
    pub standing: Standing,
    /// Whether requests go on without it.
    pub open: bool,
}

/// All tenants' programs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    options: OnceLock<ProgramOptions>,
    slots: Mutex<HashMap<TenantId, Slot>>,
    changed: Notify,
    /// Started with the first program that has a say in tokens.
    logit_threads: Mutex<Option<LogitThreads>>,
}

#[derive(Debug)]
struct Slot {
    wanted: TenantProgram,
    standing: Standing,
    store: Arc<MemoryStore>,
    /// When one that could not be had is tried again.
    retry: Option<Instant>,
}

/// A program to prepare.
#[derive(Debug)]
struct Order {
    tenant: TenantId,
    wanted: TenantProgram,
    store: Arc<MemoryStore>,
}

impl Programs {
    /// Lets programs run; without options every program is refused.
    pub fn configure(&self, options: ProgramOptions) {
        // A second time changes nothing: a process has one sandbox.
        drop(self.inner.options.set(options));
    }

    /// Takes the programs of a newly read table into use. One that did not change goes on as it is; a changed one keeps
    /// its tenant's keys and values.
    pub fn replace(&self, table: &TenantTable) {
        let mut slots = self.slots();
        let mut old = std::mem::take(&mut *slots);
        for entry in &table.tenants {
            let Some(wanted) = &entry.program else { continue };
            let id = TenantId::Named {
                namespace: entry.namespace.as_str().into(),
                name: entry.name.as_str().into(),
            };
            let slot = match old.remove(&id) {
                Some(slot) if slot.wanted == *wanted => slot,
                other => Slot {
                    wanted: wanted.clone(),
                    standing: Standing::Preparing,
                    store: other.map_or_else(fresh_store, |slot| slot.store),
                    retry: None,
                },
            };
            slots.insert(id, slot);
        }
        drop(slots);
        self.inner.changed.notify_one();
    }

    /// The program of a tenant, if it has one.
    pub fn of(&self, tenant: &TenantId) -> Option<TenantStanding> {
        let slots = self.slots();
        let slot = slots.get(tenant)?;
        let open = slot.wanted.failure_policy == ProgramFailurePolicy::Open;
        Some(TenantStanding { standing: slot.standing.clone(), open })
    }

    /// A say in each token of a sequence for that run of a program, which sees `top` candidates.
    pub fn logit_hook(
        &self,
        program: &Arc<Program>,
        run: SharedRun,
        top: usize,
    ) -> io::Result<LogitHook> {
        let threads = &self.inner.logit_threads;
        let mut threads = threads.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = match &*threads {
            Some(threads) => threads.clone(),
            None => threads.insert(LogitThreads::start()?).clone(),
        };
        Ok(LogitHook::new(run, Arc::as_ptr(program) as usize, top, threads))
    }

    /// Prepares programs as they come, for that model; ends only with the task.
    pub async fn keep(&self, model: Arc<Model>) {
        let mut kitchen = None;
        loop {
            while let Some(order) = self.next() {
                let prepared = self.prepare(&mut kitchen, &model, &order).await;
                self.finish(&order, prepared);
            }
            tokio::select! {
                () = self.inner.changed.notified() => {}
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn prepare(
        &self,
        kitchen: &mut Option<Arc<Kitchen>>,
        model: &Arc<Model>,
        order: &Order,
    ) -> Result<Arc<Program>, Trouble> {
        let kitchen = if let Some(ready) = kitchen {
            ready
        } else {
            let options = self.inner.options.get().cloned();
            kitchen.insert(Arc::new(Kitchen::open(options, Arc::clone(model))?))
        };
        kitchen.prepare(&order.tenant, &order.wanted, &order.store).await
    }

    fn next(&self) -> Option<Order> {
        let now = Instant::now();
        self.slots()
            .iter()
            .find(|(_, slot)| match slot.retry {
                Some(retry) => retry <= now,
                None => matches!(slot.standing, Standing::Preparing),
            })
            .map(|(tenant, slot)| Order {
                tenant: tenant.clone(),
                wanted: slot.wanted.clone(),
                store: Arc::clone(&slot.store),
            })
    }

    /// Notes how it went, unless the tenant wants another program by now.
    fn finish(&self, order: &Order, prepared: Result<Arc<Program>, Trouble>) {
        let (standing, retry) = match prepared {
            Ok(program) => {
                tracing::info!(tenant = %order.tenant, "the tenant's program is ready");
                (Standing::Ready(program), None)
            }
            Err(trouble) => {
                tracing::warn!(tenant = %order.tenant, %trouble, "the tenant's program is not used");
                let retry = trouble.may_pass().then(|| Instant::now() + RETRY);
                (Standing::Refused(trouble.to_string().into()), retry)
            }
        };
        let mut slots = self.slots();
        if let Some(slot) = slots.get_mut(&order.tenant)
            && slot.wanted == order.wanted
        {
            slot.standing = standing;
            slot.retry = retry;
        }
    }

    /// The programs that do not run, in the order of their tenants, and how many more there are.
    pub fn report(&self) -> (Vec<ProgramDocument>, usize) {
        let slots = self.slots();
        let standings = slots.iter().map(|(tenant, slot)| (tenant, &slot.standing));
        report::not_running(standings)
    }

    /// Writes what the programs counted, under the labels of their tenants.
    pub fn write_metrics<'a>(
        &self,
        metrics: &ProgramMetrics,
        model: &str,
        tenants: impl Iterator<Item = &'a Arc<Tenant>>,
    ) {
        let slots = self.slots();
        metrics.clear();
        for tenant in tenants {
            if let Some(slot) = slots.get(&tenant.id) {
                report::write(metrics, &tenant.label, model, &slot.standing);
            }
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<TenantId, Slot>> {
        self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fresh_store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(Arc::new(SystemClock::default()), STORE_BYTES))
}
