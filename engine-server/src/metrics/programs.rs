//! Metrics of tenants' programs: sums over what each program counted itself, written into the page when it is asked for.
//!
//! A program that was replaced begins at zero again, which rates read as a reset. Hooks and kinds of breaches are closed
//! sets, so a tenant has at most 32 series of these.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::labels::TenantLabels;

/// A counter of seconds.
type Seconds = Counter<f64, AtomicU64>;

/// Labels of one hook of a tenant's program.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HookLabels {
    /// Name of a known tenant.
    pub tenant: String,
    /// Served name of the model.
    pub model: String,
    /// Name of the hook.
    pub hook: &'static str,
}

/// Labels of one way in which a tenant's program failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BreachLabels {
    /// Name of a known tenant.
    pub tenant: String,
    /// Served name of the model.
    pub model: String,
    /// Name of the bound.
    pub kind: &'static str,
}

/// All of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ProgramMetrics {
    calls: Family<HookLabels, Counter>,
    seconds: Family<HookLabels, Seconds>,
    breaches: Family<BreachLabels, Counter>,
    refusals: Family<TenantLabels, Counter>,
    skipped: Family<TenantLabels, Counter>,
    suspensions: Family<TenantLabels, Counter>,
    ready: Family<TenantLabels, Gauge>,
}

impl ProgramMetrics {
    #[rustfmt::skip]
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("realm_program_calls", "Calls of a hook of the tenant's program", self.calls.clone());
        r.register("realm_program_seconds", "Time in a hook of the tenant's program, on the wall", self.seconds.clone());
        r.register("realm_program_breaches", "Bounds that the tenant's program broke", self.breaches.clone());
        r.register("realm_program_refusals", "Requests that the tenant's program refused", self.refusals.clone());
        r.register("realm_program_skipped", "Requests that went on without the tenant's program after it failed", self.skipped.clone());
        r.register("realm_program_suspensions", "Times that the tenant's program was stopped after repeated faults", self.suspensions.clone());
        r.register("realm_program_ready", "1 while the tenant's program runs, 0 while it is prepared, refused or stopped", self.ready.clone());
    }

    /// Forgets what the last page said; what still exists is set again.
    pub fn clear(&self) {
        self.calls.clear();
        self.seconds.clear();
        self.breaches.clear();
        self.refusals.clear();
        self.skipped.clear();
        self.suspensions.clear();
        self.ready.clear();
    }

    /// Adds one hook's calls and seconds; tenants that share a label are summed.
    pub fn add_hook(&self, labels: &HookLabels, calls: u64, seconds: f64) {
        self.calls.get_or_create(labels).inc_by(calls);
        self.seconds.get_or_create(labels).inc_by(seconds);
    }

    /// Adds breaches of one kind.
    pub fn add_breaches(&self, labels: &BreachLabels, count: u64) {
        self.breaches.get_or_create(labels).inc_by(count);
    }

    /// Adds a program's counts of requests.
    pub fn add_requests(
        &self,
        labels: &TenantLabels,
        refused: u64,
        skipped: u64,
        suspensions: u64,
    ) {
        self.refusals.get_or_create(labels).inc_by(refused);
        self.skipped.get_or_create(labels).inc_by(skipped);
        self.suspensions.get_or_create(labels).inc_by(suspensions);
    }

    /// Says whether a tenant's program runs; of tenants that share a label, whether all do.
    pub fn set_ready(&self, labels: &TenantLabels, ready: bool) {
        let ready = i64::from(ready);
        let known = self.ready.get(labels).map(|gauge| gauge.get());
        self.ready.get_or_create(labels).set(known.map_or(ready, |other| other.min(ready)));
    }
}
