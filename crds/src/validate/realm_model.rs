//! The checks of the CRD schema once more, for a laptop without an API server: same fields, same words.

use crate::realm_model::{
    ALIAS_OF_ITSELF_MESSAGE, ALIASES_MAX, ALIASES_MESSAGE, AccessMode, CacheMode, REPLICAS_MAX,
    RealmModel, RealmModelSpec, SERVED_NAME_MESSAGE, SHARED_CACHE_MESSAGE, SecretKey, Source,
    settings, source,
};
use crate::{
    duration::Duration,
    quantity::Quantity,
    validation::{
        Checks, InvalidManifest, NAME_MESSAGE, SERVED_NAME_MAX_CHARS, TEXT_MAX_CHARS, all_unique,
        is_object_name, is_relative_path, is_served_name, is_sha256, is_url,
    },
};

const PATH_MAX_CHARS: usize = 1024;
const OBJECT_NAME_MAX_CHARS: usize = 253;
const LABELS_MAX: usize = 16;

impl RealmModel {
    /// Checks everything that the CRD's schema and rules check on creation.
    pub fn validate(&self) -> Result<(), InvalidManifest> {
        let mut checks = Checks::default();
        let name = self.metadata.name.as_deref();
        checks.require(name.is_some_and(is_object_name), "metadata.name", NAME_MESSAGE);
        check_source(&self.spec.source, &mut checks);
        check_names(&self.spec, &mut checks);
        check_numbers(&self.spec, &mut checks);
        check_cache(&self.spec, &mut checks);
        check_rollout(&self.spec, &mut checks);
        checks.finish("RealmModel", name)
    }
}

fn check_source(given: &Source, checks: &mut Checks) {
    let set = [
        given.hugging_face.is_some(),
        given.http.is_some(),
        given.pvc.is_some(),
        given.image.is_some(),
    ]
    .into_iter();
    checks.require(set.filter(|set| *set).count() == 1, "spec.source", source::EXACTLY_ONE_MESSAGE);
    if let Some(hub) = &given.hugging_face {
        checks.require(is_repo(&hub.repo), "spec.source.huggingFace.repo", source::REPO_MESSAGE);
        check_path(&hub.file, "spec.source.huggingFace.file", checks);
        let revision = is_revision(&hub.revision);
        checks.require(revision, "spec.source.huggingFace.revision", source::REVISION_MESSAGE);
        let digest = hub.sha256.as_deref().is_none_or(is_sha256);
        checks.require(digest, "spec.source.huggingFace.sha256", source::SHA256_MESSAGE);
        if let Some(secret) = &hub.token_secret_ref {
            check_secret_key(secret, "spec.source.huggingFace.tokenSecretRef", checks);
        }
    }
    if let Some(http) = &given.http {
        checks.length("spec.source.http.url", &http.url, TEXT_MAX_CHARS);
        checks.require(is_url(&http.url), "spec.source.http.url", source::URL_MESSAGE);
        checks.require(is_sha256(&http.sha256), "spec.source.http.sha256", source::SHA256_MESSAGE);
    }
    if let Some(pvc) = &given.pvc {
        checks.length("spec.source.pvc.claimName", &pvc.claim_name, OBJECT_NAME_MAX_CHARS);
        check_path(&pvc.path, "spec.source.pvc.path", checks);
    }
    if let Some(image) = &given.image {
        checks.length("spec.source.image.reference", &image.reference, TEXT_MAX_CHARS);
        check_path(&image.path, "spec.source.image.path", checks);
    }
}

fn check_path(path: &str, field: &str, checks: &mut Checks) {
    checks.length(field, path, PATH_MAX_CHARS);
    checks.require(is_relative_path(path), field, source::PATH_MESSAGE);
}

fn check_secret_key(secret: &SecretKey, field: &str, checks: &mut Checks) {
    checks.length(&format!("{field}.name"), &secret.name, OBJECT_NAME_MAX_CHARS);
    checks.length(&format!("{field}.key"), &secret.key, OBJECT_NAME_MAX_CHARS);
}

fn check_names(spec: &RealmModelSpec, checks: &mut Checks) {
    if let Some(name) = &spec.served_name {
        checks.length("spec.servedName", name, SERVED_NAME_MAX_CHARS);
        checks.require(is_served_name(name), "spec.servedName", SERVED_NAME_MESSAGE);
    }
    checks.items("spec.aliases", spec.aliases.len(), 0, ALIASES_MAX);
    let unique = all_unique(spec.aliases.iter().map(String::as_str));
    checks.require(unique, "spec", ALIASES_MESSAGE);
    checks.require(
        spec.aliases.iter().all(|alias| is_served_name(alias)),
        "spec.aliases",
        SERVED_NAME_MESSAGE,
    );
    let repeats = spec.aliases.iter().any(|alias| Some(alias) == spec.served_name.as_ref());
    checks.require(!repeats, "spec", ALIAS_OF_ITSELF_MESSAGE);
}

fn check_numbers(spec: &RealmModelSpec, checks: &mut Checks) {
    checks.range("spec.replicas", spec.replicas.into(), 0, REPLICAS_MAX.into());
    if let Some(tokens) = spec.engine.context_length {
        checks.range("spec.engine.contextLength", tokens.into(), 1, 1_048_576);
    }
    checks.range("spec.engine.parallel", spec.engine.parallel.into(), 1, 256);
    if let Some(threads) = spec.engine.threads {
        checks.range("spec.engine.threads", threads.into(), 1, 1024);
    }
    checks.range("spec.engine.batchTokens", spec.engine.batch_tokens.into(), 1, 65536);
    checks.range("spec.engine.prefillTokens", spec.engine.prefill_tokens.into(), 1, 65536);
    if let Some(tokens) = spec.engine.kv_tokens {
        checks.range("spec.engine.kvTokens", tokens.into(), 1, settings::KV_TOKENS_MAX);
        let holds = spec.engine.context_length.is_none_or(|context| tokens >= context);
        checks.require(holds, "spec.engine", settings::KV_TOKENS_MESSAGE);
    }
    let drafts = spec.engine.speculation.max_draft_tokens;
    checks.range("spec.engine.speculation.maxDraftTokens", drafts.into(), 1, 16);
    checks.range("spec.exposure.service.port", spec.exposure.service.port.into(), 1, 65535);
    check_quantity(spec.resources.cpu.as_ref(), "spec.resources.cpu", checks);
    check_quantity(spec.resources.memory.as_ref(), "spec.resources.memory", checks);
}

fn check_quantity(quantity: Option<&Quantity>, field: &str, checks: &mut Checks) {
    if let Some(Err(error)) = quantity.map(Quantity::milli) {
        checks.require(false, field, error.to_string());
    }
}

fn check_cache(spec: &RealmModelSpec, checks: &mut Checks) {
    let cache = &spec.cache;
    let claimed = cache.mode == CacheMode::Pvc;
    check_quantity(cache.size.as_ref(), "spec.cache.size", checks);
    checks.require(!claimed || cache.size.is_some(), "spec.cache", settings::PVC_SIZE_MESSAGE);
    checks.require(
        claimed || cache.storage_class_name.is_none(),
        "spec.cache",
        settings::EPHEMERAL_MESSAGE,
    );
    if let Some(class) = &cache.storage_class_name {
        checks.length("spec.cache.storageClassName", class, OBJECT_NAME_MAX_CHARS);
    }
    let shared = claimed && cache.access_mode == AccessMode::ReadWriteOnce && spec.replicas > 1;
    checks.require(!shared, "spec", SHARED_CACHE_MESSAGE);
}

fn check_rollout(spec: &RealmModelSpec, checks: &mut Checks) {
    let rollout = &spec.rollout;
    checks.range("spec.rollout.maxSurge", rollout.max_surge.into(), 0, 100);
    checks.range("spec.rollout.maxUnavailable", rollout.max_unavailable.into(), 0, 100);
    checks.require(
        rollout.max_surge > 0 || rollout.max_unavailable > 0,
        "spec.rollout",
        settings::SURGE_MESSAGE,
    );
    check_duration(
        &rollout.drain_timeout,
        5,
        "spec.rollout.drainTimeout",
        settings::DRAIN_MESSAGE,
        checks,
    );
    let observability = &spec.observability;
    check_duration(
        &observability.interval,
        1,
        "spec.observability.interval",
        settings::INTERVAL_MESSAGE,
        checks,
    );
    let labels = observability.labels.len() <= LABELS_MAX;
    checks.require(
        labels,
        "spec.observability.labels",
        format!("must have at most {LABELS_MAX} items"),
    );
}

fn check_duration(
    duration: &Duration,
    least: u32,
    field: &str,
    message: &str,
    checks: &mut Checks,
) {
    match duration.seconds() {
        Ok(seconds) => checks.require((least..=3600).contains(&seconds), field, message),
        Err(error) => checks.require(false, field, error.to_string()),
    }
}

fn is_repo(repo: &str) -> bool {
    let part = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    repo.len() <= 256 && repo.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

fn is_revision(revision: &str) -> bool {
    revision.len() <= 256
        && revision.starts_with(|first: char| first.is_ascii_alphanumeric())
        && revision.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
}
