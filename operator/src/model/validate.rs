//! Second step: from what the user wrote and what was read to a model that can be built. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Resource, ResourceExt};
use realm_crds::{
    EngineConfig, RealmModel, RealmModelSpec, TenantTable, names,
    resolve::{KeyProblem, ResolveError, engine_config, tenant_table},
};
use sha2::{Digest, Sha256};

use crate::{model::dereference::Fetched, resources::Owner};

/// A model whose spec is sound and whose references were read.
#[derive(Clone, Debug)]
pub struct ValidatedModel {
    /// Name of the RealmModel.
    pub name: String,
    /// Its generation.
    pub generation: i64,
    /// Owner of all children.
    pub owner: Owner,
    /// What it asks for.
    pub spec: RealmModelSpec,
    /// What the pods read.
    pub engine: EngineConfig,
    /// Hash of the engine's settings without their generation.
    pub engine_hash: String,
    /// Who may ask.
    pub tenants: TenantTable,
    /// Keys that were left out.
    pub key_problems: Vec<KeyProblem>,
}

impl ValidatedModel {
    /// Pods that should run.
    #[must_use]
    pub fn wanted_replicas(&self) -> i32 {
        if self.spec.suspend { 0 } else { self.spec.replicas }
    }
}

/// Why a model cannot be built; trying again without an edit would not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidateError {
    /// The spec breaks a rule.
    #[error(transparent)]
    Spec(#[from] ResolveError),
    /// The API server gave an object without identity.
    #[error("the object has no name, namespace or uid")]
    NoIdentity,
    /// The settings cannot be written as JSON.
    #[error("failed to write the engine settings as JSON: {0}")]
    Json(String),
}

/// Checks the spec and resolves it.
pub fn validate(model: &RealmModel, fetched: &Fetched) -> Result<ValidatedModel, ValidateError> {
    let namespace = model.namespace().ok_or(ValidateError::NoIdentity)?;
    let reference = model.controller_owner_ref(&()).ok_or(ValidateError::NoIdentity)?;
    let mut engine = engine_config(model)?;
    let engine_hash = settings_hash(&engine)?;
    if let Some(generation) = unchanged_since(fetched.deployment.as_deref(), &engine_hash) {
        engine.generation = generation;
    }
    let (tenants, key_problems) =
        tenant_table(&namespace, &model.name_any(), &fetched.tenants, &fetched.hashes);
    Ok(ValidatedModel {
        name: model.name_any(),
        generation: model.metadata.generation.unwrap_or_default(),
        owner: Owner::model(&namespace, reference),
        spec: model.spec.clone(),
        engine,
        engine_hash,
        tenants,
        key_problems,
    })
}

/// Hash of the settings, whatever their generation.
fn settings_hash(engine: &EngineConfig) -> Result<String, ValidateError> {
    let settings = EngineConfig { generation: 0, ..engine.clone() };
    let json =
        serde_json::to_vec(&settings).map_err(|error| ValidateError::Json(error.to_string()))?;
    Ok(hex::encode(Sha256::digest(json))[..16].to_owned())
}

/// The generation at which the settings became what they are, when the Deployment already runs them. An edit that
/// does not concern the engine (replicas, labels, Service) so keeps the pods, and what they report stays true.
fn unchanged_since(deployment: Option<&Deployment>, engine_hash: &str) -> Option<i64> {
    let template = &deployment?.spec.template;
    let annotations = template.metadata.as_ref()?.annotations.as_ref()?;
    let same =
        annotations.get(names::ANNOTATION_ENGINE_HASH).is_some_and(|hash| hash == engine_hash);
    same.then(|| annotations.get(names::ANNOTATION_ENGINE_GENERATION)?.parse().ok()).flatten()
}
