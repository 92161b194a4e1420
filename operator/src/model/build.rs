//! Third step: from a validated model to all of its children. Pure; one Kubernetes kind a file.

mod claim;
mod dashboard;
mod deployment;
mod engine_config;
mod pod;
mod service;
mod service_account;
mod service_monitor;
mod tenants;

use std::marker::PhantomData;

use realm_crds::realm_model::{CacheMode, Switch};

use crate::{
    capabilities::Capabilities,
    model::validate::ValidatedModel,
    resources::{Prepared, Resources},
    settings::PodSettings,
};

/// Why the children could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A document cannot be written as JSON.
    #[error("failed to write {what} as JSON: {source}")]
    Json {
        /// Which document.
        what: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Builds all children.
pub fn build(
    model: &ValidatedModel,
    settings: &PodSettings,
    capabilities: Capabilities,
) -> Result<Resources<Prepared>, BuildError> {
    let json = |what| move |source| BuildError::Json { what, source };
    let observability = &model.spec.observability;
    let engine_config = engine_config::build(model).map_err(json("the engine settings"))?;
    let config_name = engine_config.metadata.name.clone().unwrap_or_default();
    let claimed =
        model.spec.cache.mode == CacheMode::Pvc && model.engine.source.mounted_file().is_none();
    let monitored = observability.service_monitor != Switch::Never && capabilities.service_monitor;
    let charted = observability.dashboard != Switch::Never;
    Ok(Resources {
        service_account: service_account::build(model),
        tenants: tenants::build(model).map_err(json("the tenant table"))?,
        claim: claimed.then(|| claim::build(model)),
        deployment: deployment::build(model, settings, &config_name),
        service: service::api(model),
        metrics_service: service::metrics(model),
        service_monitor: monitored.then(|| service_monitor::build(model)),
        dashboard: charted
            .then(|| dashboard::build(model))
            .transpose()
            .map_err(json("the dashboard"))?,
        engine_config,
        state: PhantomData,
    })
}
