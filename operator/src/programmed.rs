//! What the last reconcile of each model gave its pods: how the tenants' reconciles learn of it without reading again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use realm_crds::TenantEntry;

use crate::health::{Health, ProgramReport};

/// State of a program that is on its way.
pub const PREPARING: &str = "Preparing";

/// Objects whose last table is remembered.
const PROGRAMMED_MAX: usize = 16_384;

/// Namespace and name of an object.
pub type Key = (String, String);

/// What one model's pods were given, and what they confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgrammedModel {
    /// Version of the table that was written.
    pub version: String,
    /// The table.
    pub tenants: Vec<TenantEntry>,
    /// Version that every wanted pod reports.
    pub served: Option<String>,
    /// Tenants' programs that do not run in every pod.
    pub idle: IdlePrograms,
}

/// Programs that do not run in every pod of a model, by the tenant's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdlePrograms {
    /// What a pod says of each.
    pub known: BTreeMap<String, ProgramReport>,
    /// Whether there are more than the pods name.
    pub more: bool,
}

impl IdlePrograms {
    /// From what the pods of a model in `namespace` say; where two differ, a program that is prepared counts least.
    pub fn gather<'a>(namespace: &str, pods: impl Iterator<Item = &'a Health>) -> Self {
        let mut idle = Self::default();
        for pod in pods {
            idle.more |= pod.programs_omitted > 0;
            for report in pod.programs.iter().filter(|report| report.namespace == namespace) {
                let known = idle.known.entry(report.name.clone());
                let known = known.or_insert_with(|| report.clone());
                if known.state == PREPARING {
                    known.clone_from(report);
                }
            }
        }
        idle
    }

    /// Whether every program runs in every pod.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && !self.more
    }
}

/// What each model's pods were given, as the last reconcile of the model left it.
#[derive(Clone, Debug, Default)]
pub struct Programmed(Arc<Mutex<HashMap<Key, ProgrammedModel>>>);

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
