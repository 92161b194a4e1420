//! What every reconcile may use. A leaf: it must not know the reconcilers.

use std::time::Duration;

use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use realm_crds::names;
use tokio::sync::watch;

use crate::{
    backoff::Backoff,
    caches::Caches,
    capabilities::Capabilities,
    health::HealthClient,
    metrics::Metrics,
    programmed::{Key, Programmed},
    settings::PodSettings,
};

/// First and longest delay after a failure.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// First and longest delay between two looks at pods that are on their way.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// What every reconcile may use.
#[expect(missing_debug_implementations, reason = "kube's client has none")]
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Watched objects.
    pub caches: Caches,
    /// Optional kinds that the cluster knows.
    pub capabilities: watch::Receiver<Capabilities>,
    /// What the operator's own deployment decides about pods.
    pub settings: PodSettings,
    /// Asks pods what they serve.
    pub health: HealthClient,
    /// Counts.
    pub metrics: Metrics,
    /// Which tenants each model's pods were given.
    pub programmed: Programmed,
    /// Writes events.
    pub recorder: Recorder,
    /// Delays after failures, by kind and key.
    pub retries: Backoff<(&'static str, Key)>,
    /// Delays between looks at pods, by kind and key.
    pub polls: Backoff<(&'static str, Key)>,
}

impl Context {
    /// A context with empty tables.
    #[must_use]
    pub fn new(
        client: Client,
        caches: Caches,
        capabilities: watch::Receiver<Capabilities>,
        settings: PodSettings,
        health: HealthClient,
        metrics: Metrics,
    ) -> Self {
        let reporter = Reporter { controller: names::FIELD_MANAGER.to_owned(), instance: None };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            programmed: caches.programmed.clone(),
            client,
            caches,
            capabilities,
            settings,
            health,
            metrics,
            retries: Backoff::new(RETRY.0, RETRY.1),
            polls: Backoff::new(POLL.0, POLL.1),
        }
    }
}
