//! What the last reconcile of each model gave its pods: how the tenants' reconciles learn of it without reading again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use realm_crds::TenantEntry;

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
