//! What every reconcile may use. A leaf: it must not know the reconcilers.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use realm_crds::{TenantEntry, names};
use tokio::sync::watch;

use crate::{
    backoff::Backoff, caches::Caches, capabilities::Capabilities, health::HealthClient,
    metrics::Metrics, settings::PodSettings,
};

/// First and longest delay after a failure.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// First and longest delay between two looks at pods that are on their way.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// Objects whose last table is remembered.
const PROGRAMMED_MAX: usize = 16_384;

/// Namespace and name of an object.
pub type Key = (String, String);

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

/// What one model's pods were given, and what they confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgrammedModel {
    /// Version of the table that was written.
    pub version: String,
    /// The table.
    pub tenants: Vec<TenantEntry>,
    /// Version that every wanted pod reports.
    pub served: Option<String>,
}

/// What each model's pods were given, as the last reconcile of the model left it.
#[derive(Clone, Debug, Default)]
pub struct Programmed(std::sync::Arc<Mutex<HashMap<Key, ProgrammedModel>>>);

impl Programmed {
    /// Remembers a model; says whether that changed anything.
    pub fn set(&self, key: Key, model: &ProgrammedModel) -> bool {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if models.len() >= PROGRAMMED_MAX {
            models.clear();
        }
        models.insert(key, model.clone()).as_ref() != Some(model)
    }

    /// Forgets a model.
    pub fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// What a model's pods were given; `None` before its first reconcile.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<ProgrammedModel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Models whose table lists a tenant.
    #[must_use]
    pub fn models_of(&self, namespace: &str, tenant: &str) -> Vec<String> {
        let models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lists =
            |model: &ProgrammedModel| model.tenants.iter().any(|entry| entry.name == tenant);
        models
            .iter()
            .filter(|((space, _), model)| space == namespace && lists(model))
            .map(|((_, name), _)| name.clone())
            .collect()
    }
}
