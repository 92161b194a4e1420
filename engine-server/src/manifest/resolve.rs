//! From manifests to what the server runs: one model, its tenants, and the hashes of their API keys.

use realm_crds::{
    RealmModel, RealmTenant,
    resolve::{
        DEFAULT_NAMESPACE, KeyHashes, KeyProblem, KeyRef, ResolveError, Resolved, hash_api_key,
        key_refs, namespace,
    },
};

use super::{
    api_keys::{GeneratedKey, KeyFolder},
    fault::ManifestError,
    resources::{Located, Manifests},
};

/// What the server runs, and what the user must be told.
#[derive(Debug)]
pub struct Served {
    /// Engine configuration and tenants.
    pub resolved: Resolved,
    /// Keys made just now.
    pub generated: Vec<GeneratedKey>,
}

/// Resolves the model called `wanted`, or the only one.
pub fn resolve(
    manifests: &Manifests,
    wanted: Option<&str>,
    keys: Option<&KeyFolder>,
) -> Result<Served, ManifestError> {
    let model = choose(&manifests.models, wanted)?;
    let tenants: Vec<RealmTenant> =
        manifests.tenants.iter().map(|tenant| tenant.value.clone()).collect();
    let (hashes, generated) = hash_keys(manifests, &model.value, &tenants, keys)?;
    let resolved = realm_crds::resolve::resolve(&model.value, &tenants, &hashes)
        .map_err(|error| not_resolved(model, &error))?;
    let problems: Vec<_> =
        resolved.problems.iter().map(|problem| describe(manifests, model, problem)).collect();
    if problems.is_empty() {
        Ok(Served { resolved, generated })
    } else {
        Err(ManifestError::Faults(problems))
    }
}

fn choose<'a>(
    models: &'a [Located<RealmModel>],
    wanted: Option<&str>,
) -> Result<&'a Located<RealmModel>, ManifestError> {
    let names = || models.iter().map(|model| name(&model.value)).collect::<Vec<_>>().join(", ");
    match (models, wanted) {
        ([], _) => Err(ManifestError::NoModel { files: "the files".into() }),
        (_, Some(wanted)) => {
            let fits = |model: &&Located<RealmModel>| {
                name(&model.value) == wanted || model.value.served_name() == wanted
            };
            let unknown = || ManifestError::UnknownModel { wanted: wanted.into(), names: names() };
            models.iter().find(fits).ok_or_else(unknown)
        }
        ([model], None) => Ok(model),
        (several, None) => {
            Err(ManifestError::SeveralModels { count: several.len(), names: names() })
        }
    }
}

fn name(model: &RealmModel) -> &str {
    model.metadata.name.as_deref().unwrap_or_default()
}

/// Hashes of all keys that the model's tenants have, from Secrets and from the folder of generated keys.
fn hash_keys(
    manifests: &Manifests,
    model: &RealmModel,
    tenants: &[RealmTenant],
    keys: Option<&KeyFolder>,
) -> Result<(KeyHashes, Vec<GeneratedKey>), ManifestError> {
    let model_namespace = namespace(model.metadata.namespace.as_deref());
    let mut hashes = KeyHashes::new();
    for place in key_refs(&model_namespace, name(model), tenants) {
        if let Some(hash) = hash_from_secret(manifests, &place)? {
            hashes.insert(place, hash);
        }
    }
    let mut generated = Vec::new();
    for tenant in tenants.iter().filter(|tenant| asks_for(tenant, &model_namespace, name(model))) {
        let tenant_name = tenant.metadata.name.as_deref().unwrap_or_default();
        for key in tenant.spec.api_keys.iter().filter(|key| key.generate) {
            let place =
                KeyRef { namespace: model_namespace.clone(), secret: key.secret(tenant_name) };
            if hashes.contains_key(&place) {
                continue;
            }
            let folder = keys.ok_or(ManifestError::NoKeyFolder)?;
            let (text, fresh, path) = folder.load_or_make(&place.namespace, &place.secret.name)?;
            let hash = hash_api_key(text.as_bytes()).map_err(|error| ManifestError::KeyFile {
                action: "use",
                path: path.clone(),
                reason: error.to_string(),
            })?;
            hashes.insert(place, hash);
            if fresh {
                generated.push(GeneratedKey {
                    tenant: tenant_name.into(),
                    name: key.name.clone(),
                    key: text,
                    path,
                });
            }
        }
    }
    Ok((hashes, generated))
}

fn asks_for(tenant: &RealmTenant, model_namespace: &str, model: &str) -> bool {
    tenant.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE) == model_namespace
        && tenant.wants_model(model)
}

fn hash_from_secret(
    manifests: &Manifests,
    place: &KeyRef,
) -> Result<Option<String>, ManifestError> {
    let secret = manifests.secrets.iter().find(|secret| {
        secret.value.namespace == place.namespace && secret.value.name == place.secret.name
    });
    let Some(secret) = secret else { return Ok(None) };
    let Some(bytes) = secret.value.data.get(&place.secret.key) else { return Ok(None) };
    hash_api_key(bytes).map(Some).map_err(|error| {
        let field = secret.place.first_present("stringData", "data", &place.secret.key);
        ManifestError::Faults(vec![secret.place.fault(&field, error.to_string())])
    })
}

fn not_resolved(model: &Located<RealmModel>, error: &ResolveError) -> ManifestError {
    let faults = match error {
        ResolveError::Invalid(invalid) => invalid
            .errors
            .iter()
            .map(|error| model.place.fault(&error.field, error.message.clone()))
            .collect(),
        ResolveError::Source => vec![model.place.fault("spec.source", error.to_string())],
        ResolveError::Drain(bad) => {
            vec![model.place.fault("spec.rollout.drainTimeout", bad.to_string())]
        }
    };
    ManifestError::Faults(faults)
}

/// On a laptop nobody adds a Secret later: a key that cannot be used is a fault.
fn describe(
    manifests: &Manifests,
    model: &Located<RealmModel>,
    problem: &KeyProblem,
) -> super::fault::Fault {
    let (tenant, key, message) = match problem {
        KeyProblem::Missing { tenant, key, place } => (
            tenant,
            key,
            format!(
                "the Secret {} with the key {} in namespace {} is not in the files; add it with another -f",
                place.secret.name, place.secret.key, place.namespace
            ),
        ),
        KeyProblem::Shared { tenant, key, holder } => {
            (tenant, key, format!("tenant {holder} has the same API key; give each tenant its own"))
        }
    };
    let located = manifests
        .tenants
        .iter()
        .find(|located| located.value.metadata.name.as_deref() == Some(tenant));
    let Some(located) = located else { return model.place.fault("", message) };
    let index = located.value.spec.api_keys.iter().position(|candidate| candidate.name == *key);
    located.place.fault(&format!("spec.apiKeys[{}]", index.unwrap_or_default()), message)
}
