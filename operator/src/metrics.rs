//! What the operator counts, under fixed names. Labels are kinds, verbs and codes only, never names of objects.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tracing::warn;

/// Labels of a reconcile.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    kind: &'static str,
    outcome: &'static str,
}

/// Label of a kind.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: String,
}

/// Labels of a request to the API server.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    verb: &'static str,
    code: u16,
}

/// Label of a request's verb.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Verb {
    verb: &'static str,
}

/// Labels of a watch failure.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WatchFailure {
    kind: String,
    reason: &'static str,
}

type Histograms<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

#[derive(Debug)]
struct Families {
    registry: Registry,
    reconciles: Family<Outcome, Counter>,
    reconcile_seconds: Histograms<Kind>,
    last_success: Family<Kind, Gauge>,
    watch_restarts: Family<WatchFailure, Counter>,
    requests: Family<Request, Counter>,
    request_seconds: Histograms<Verb>,
    leader: Gauge,
    drift: Family<Kind, Counter>,
    time_to_ready: Histograms<Kind>,
}

/// What the operator counts.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Families>);

/// 1 ms to 32 s.
fn short_times() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

/// 0.5 s to 2.3 h.
fn long_times() -> Histogram {
    Histogram::new(exponential_buckets(0.5, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("realm_operator");
        let families = Families {
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(short_times),
            last_success: Family::default(),
            watch_restarts: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(short_times),
            leader: Gauge::default(),
            drift: Family::default(),
            time_to_ready: Family::new_with_constructor(long_times),
            registry: Registry::default(),
        };
        registry.register("reconcile", "Reconciles finished", families.reconciles.clone());
        let (name, unit) = ("reconcile_duration", Unit::Seconds);
        registry.register_with_unit(
            name,
            "Reconcile time",
            unit,
            families.reconcile_seconds.clone(),
        );
        let help = "Unix time of the last successful reconcile";
        registry.register_with_unit(
            "last_success_timestamp",
            help,
            Unit::Seconds,
            families.last_success.clone(),
        );
        registry.register(
            "watch_restarts",
            "Watches started anew",
            families.watch_restarts.clone(),
        );
        registry.register(
            "apiserver_requests",
            "API requests by the operator",
            families.requests.clone(),
        );
        let (name, unit) = ("apiserver_request_duration", Unit::Seconds);
        registry.register_with_unit(
            name,
            "API request time",
            unit,
            families.request_seconds.clone(),
        );
        registry.register("leader", "1 while holding the lease", families.leader.clone());
        let help = "Child objects put back after a foreign change";
        registry.register("drift_corrections", help, families.drift.clone());
        let help = "Creation of the resource to first Ready";
        registry.register_with_unit(
            "time_to_ready",
            help,
            Unit::Seconds,
            families.time_to_ready.clone(),
        );
        Self(Arc::new(Families { registry, ..families }))
    }
}

impl Metrics {
    /// All metrics as OpenMetrics text.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    /// A reconcile of `kind` ended.
    pub fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.0.reconciles.get_or_create(&Outcome { kind, outcome }).inc();
        let kind = Kind { kind: kind.to_owned() };
        self.0.reconcile_seconds.get_or_create(&kind).observe(took.as_secs_f64());
        if outcome == "success" {
            self.0.last_success.get_or_create(&kind).set(jiff::Timestamp::now().as_second());
        }
    }

    /// A watch failed and starts anew.
    pub fn watch_failed(&self, kind: &str, error: &kube::runtime::watcher::Error) {
        use kube::runtime::watcher::Error;
        let reason = match error {
            Error::InitialListFailed(_) => "list",
            Error::WatchStartFailed(_) => "start",
            Error::WatchError(_) => "expired",
            Error::WatchFailed(_) => "connection",
            Error::NoResourceVersion => "version",
        };
        self.0.watch_restarts.get_or_create(&WatchFailure { kind: kind.to_owned(), reason }).inc();
        warn!(kind, reason, %error, "watch failed and starts anew");
    }

    /// A request to the API server was answered, or failed with code 0.
    pub fn requested(&self, verb: &'static str, code: u16, took: Duration) {
        self.0.requests.get_or_create(&Request { verb, code }).inc();
        self.0.request_seconds.get_or_create(&Verb { verb }).observe(took.as_secs_f64());
    }

    /// Whether this process holds the lease.
    pub fn leading(&self, leads: bool) {
        self.0.leader.set(leads.into());
    }

    /// A child was put back after a foreign change.
    pub fn drift_corrected(&self, kind: &str) {
        self.0.drift.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// A resource of `kind` became ready for the first time.
    pub fn first_ready(&self, kind: &str, seconds: f64) {
        self.0.time_to_ready.get_or_create(&Kind { kind: kind.to_owned() }).observe(seconds);
    }
}
