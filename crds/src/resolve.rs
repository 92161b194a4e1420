//! The pure step from manifests to what an engine-server reads. Used by the operator and by `realm serve -f`.
//!
//! It must not read Secrets or files: hashes of API keys come in as an argument.

use std::{
    collections::BTreeMap,
    hash::{Hash as _, Hasher},
};

use sha2::{Digest, Sha256};

use crate::{
    duration::BadDuration,
    engine_config::{
        ArtifactSource, EngineConfig, EngineSettings, KeyEntry, LimitsEntry, TenantEntry,
        TenantTable,
    },
    quantity::Quantity,
    realm_model::{RealmModel, SecretKey, Source, source::EXACTLY_ONE_MESSAGE},
    realm_tenant::{RealmTenant, TenantLimits},
    validation::InvalidManifest,
};

/// Namespace of a manifest that names none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// Fewest characters of an API key.
pub const API_KEY_MIN_CHARS: usize = 16;
/// Most bytes of an API key.
pub const API_KEY_MAX_BYTES: usize = 512;

/// Why manifests could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A manifest breaks a rule of its kind.
    #[error(transparent)]
    Invalid(#[from] InvalidManifest),
    /// The source is none or several. Validation says so first; this keeps a rule lost there from becoming a wrong source.
    #[error("{EXACTLY_ONE_MESSAGE}")]
    Source,
    /// A duration does not parse.
    #[error("spec.rollout.drainTimeout: {0}")]
    Drain(#[from] BadDuration),
}

/// Why a text cannot be an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadApiKey {
    /// Too short to be a secret.
    #[error("the API key has {0} characters, it should have at least {API_KEY_MIN_CHARS}")]
    Short(usize),
    /// Too long for a request header.
    #[error("the API key has {0} bytes, it should have at most {API_KEY_MAX_BYTES}")]
    Long(usize),
    /// Not sendable in a request header.
    #[error("the API key should hold only visible ASCII characters, without spaces")]
    Characters,
}

/// Where the hash of an API key belongs: the namespace and the Secret's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRef {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name and key of the Secret.
    pub secret: SecretKey,
}

/// SHA-256 hashes of API keys (see [`hash_api_key`]) by the place of the key.
pub type KeyHashes = BTreeMap<KeyRef, String>;

/// A key of a tenant that is not in the table, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyProblem {
    /// Its hash is not known: the Secret or its key is missing.
    Missing {
        /// Tenant.
        tenant: String,
        /// Name of the key.
        key: String,
        /// Where it should be.
        place: KeyRef,
    },
    /// Another tenant has the same key, so that it would not say who asks.
    Shared {
        /// Tenant that loses.
        tenant: String,
        /// Name of the key.
        key: String,
        /// Tenant that keeps it: the first by namespace and name.
        holder: String,
    },
}

/// What an engine-server needs to serve one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The engine's settings.
    pub engine: EngineConfig,
    /// Who may ask.
    pub tenants: TenantTable,
    /// Keys that were left out.
    pub problems: Vec<KeyProblem>,
}

/// Resolves a model and the tenants that name it. Tenants of other models and namespaces are ignored.
pub fn resolve(
    model: &RealmModel,
    tenants: &[RealmTenant],
    hashes: &KeyHashes,
) -> Result<Resolved, ResolveError> {
    let engine = engine_config(model)?;
    for tenant in tenants {
        tenant.validate()?;
    }
    let (tenants, problems) = tenant_table(&engine.namespace, &engine.resource, tenants, hashes);
    Ok(Resolved { engine, tenants, problems })
}

/// The settings of a model's engine-server.
pub fn engine_config(model: &RealmModel) -> Result<EngineConfig, ResolveError> {
    model.validate()?;
    let spec = &model.spec;
    let source = artifact_source(&spec.source).ok_or(ResolveError::Source)?;
    let digest = match &source {
        ArtifactSource::HuggingFace(hub) => hub.sha256.clone(),
        ArtifactSource::Http(http) => Some(http.sha256.clone()),
        ArtifactSource::Pvc(_) | ArtifactSource::Image(_) => None,
    };
    Ok(EngineConfig {
        namespace: namespace(model.metadata.namespace.as_deref()),
        resource: model.metadata.name.clone().unwrap_or_default(),
        generation: model.metadata.generation.unwrap_or_default(),
        served_name: model.served_name().to_owned(),
        aliases: spec.aliases.clone(),
        source,
        digest,
        engine: EngineSettings {
            context_length: spec.engine.context_length,
            parallel: spec.engine.parallel,
            threads: spec.engine.threads,
            batch_tokens: spec.engine.batch_tokens,
            prefill_tokens: spec.engine.prefill_tokens,
            kv_cache_type: spec.engine.kv_cache_type,
            kv_tokens: spec.engine.kv_tokens,
            speculation: spec.engine.speculation.clone(),
        },
        anonymous: spec.access.anonymous,
        drain_timeout_seconds: spec.rollout.drain_timeout.seconds()?,
    })
}

fn artifact_source(source: &Source) -> Option<ArtifactSource> {
    match (&source.hugging_face, &source.http, &source.pvc, &source.image) {
        (Some(hub), None, None, None) => Some(ArtifactSource::HuggingFace(hub.clone())),
        (None, Some(http), None, None) => Some(ArtifactSource::Http(http.clone())),
        (None, None, Some(pvc), None) => Some(ArtifactSource::Pvc(pvc.clone())),
        (None, None, None, Some(image)) => Some(ArtifactSource::Image(image.clone())),
        _ => None,
    }
}

/// The namespace of a manifest.
#[must_use]
pub fn namespace(given: Option<&str>) -> String {
    given.unwrap_or(DEFAULT_NAMESPACE).to_owned()
}

/// The places of all API keys of the tenants that name the model.
#[must_use]
pub fn key_refs(model_namespace: &str, model: &str, tenants: &[RealmTenant]) -> Vec<KeyRef> {
    let mut places: Vec<KeyRef> = callers(model_namespace, model, tenants)
        .into_iter()
        .flat_map(|tenant| {
            tenant.spec.api_keys.iter().map(|key| KeyRef {
                namespace: model_namespace.to_owned(),
                secret: key.secret(tenant.metadata.name.as_deref().unwrap_or_default()),
            })
        })
        .collect();
    places.sort();
    places.dedup();
    places
}

/// The table of tenants that may use a model, and the keys that were left out of it.
#[must_use]
pub fn tenant_table(
    model_namespace: &str,
    model: &str,
    tenants: &[RealmTenant],
    hashes: &KeyHashes,
) -> (TenantTable, Vec<KeyProblem>) {
    let mut holders = BTreeMap::new();
    let mut problems = Vec::new();
    let entries: Vec<TenantEntry> = callers(model_namespace, model, tenants)
        .into_iter()
        .map(|tenant| tenant_entry(model_namespace, tenant, hashes, &mut holders, &mut problems))
        .collect();
    (TenantTable { version: version(&entries), tenants: entries }, problems)
}

/// The tenants of a model, sorted by name.
fn callers<'a>(
    model_namespace: &str,
    model: &str,
    tenants: &'a [RealmTenant],
) -> Vec<&'a RealmTenant> {
    let mut callers: Vec<&RealmTenant> = tenants
        .iter()
        .filter(|tenant| namespace(tenant.metadata.namespace.as_deref()) == model_namespace)
        .filter(|tenant| tenant.wants_model(model))
        .collect();
    callers.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    callers
}

fn tenant_entry(
    model_namespace: &str,
    tenant: &RealmTenant,
    hashes: &KeyHashes,
    holders: &mut BTreeMap<String, String>,
    problems: &mut Vec<KeyProblem>,
) -> TenantEntry {
    let name = tenant.metadata.name.clone().unwrap_or_default();
    let mut keys = Vec::new();
    for key in &tenant.spec.api_keys {
        let place = KeyRef { namespace: model_namespace.to_owned(), secret: key.secret(&name) };
        let Some(hash) = hashes.get(&place) else {
            problems.push(KeyProblem::Missing {
                tenant: name.clone(),
                key: key.name.clone(),
                place,
            });
            continue;
        };
        let holder = holders.entry(hash.clone()).or_insert_with(|| name.clone());
        if *holder == name {
            keys.push(KeyEntry {
                name: key.name.clone(),
                sha256: hash.clone(),
                expires_at: key.expires_at.clone(),
            });
        } else {
            let holder = holder.clone();
            problems.push(KeyProblem::Shared {
                tenant: name.clone(),
                key: key.name.clone(),
                holder,
            });
        }
    }
    TenantEntry {
        namespace: model_namespace.to_owned(),
        name,
        suspended: tenant.spec.suspend,
        weight: tenant.spec.weight,
        class: tenant.spec.class,
        limits: limits_entry(&tenant.spec.limits),
        keys,
        program: tenant.spec.program.clone(),
    }
}

/// Limits as the engine-server reads them.
#[must_use]
pub fn limits_entry(limits: &TenantLimits) -> LimitsEntry {
    // An amount that does not read, which validation refuses, allows next to nothing rather than everything.
    let kv_bytes = |amount: &Quantity| amount.bytes().unwrap_or(1);
    LimitsEntry {
        requests_per_minute: limits.requests_per_minute,
        input_tokens_per_minute: limits.input_tokens_per_minute,
        output_tokens_per_minute: limits.output_tokens_per_minute,
        tokens_per_day: limits.tokens_per_day,
        max_concurrent: Some(limits.max_concurrent),
        max_queued: Some(limits.max_queued),
        max_context_tokens: limits.max_context_tokens,
        max_output_tokens: limits.max_output_tokens,
        kv_bytes: limits.kv_bytes.as_ref().map(kv_bytes),
    }
}

/// A hash over all fields of all entries, of which each says where it ends.
fn version(tenants: &[TenantEntry]) -> String {
    let mut fields = Fields(Sha256::new());
    tenants.hash(&mut fields);
    hex::encode(fields.0.finalize())[..16].to_owned()
}

/// Feeds what derived `Hash` says of a value to a digest.
struct Fields(Sha256);

impl Hasher for Fields {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks: the digest is read.
    fn finish(&self) -> u64 {
        0
    }
}

/// The hash of an API key as a Secret holds it; white space around it, such as a final newline, is not part of it.
pub fn hash_api_key(secret: &[u8]) -> Result<String, BadApiKey> {
    let key = secret.trim_ascii();
    if key.len() < API_KEY_MIN_CHARS {
        return Err(BadApiKey::Short(key.len()));
    }
    if key.len() > API_KEY_MAX_BYTES {
        return Err(BadApiKey::Long(key.len()));
    }
    if !key.iter().all(u8::is_ascii_graphic) {
        return Err(BadApiKey::Characters);
    }
    Ok(hex::encode(Sha256::digest(key)))
}
