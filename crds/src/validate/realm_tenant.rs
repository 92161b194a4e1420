//! The checks of the CRD schema once more, for a laptop without an API server: same fields, same words.

use std::collections::BTreeSet;

use crate::quantity::Quantity;
use crate::realm_model::source::{SHA256_MESSAGE, URL_MESSAGE};
use crate::realm_tenant::program::{GRANTS_MESSAGE, LIMITS_MESSAGE, TenantProgram};
use crate::realm_tenant::{
    API_KEYS_MAX, ApiKey, KEY_NAME_MAX_CHARS, KEY_NAME_MESSAGE, KEYS_MESSAGE, MODELS_MAX,
    MODELS_MESSAGE, ORIGIN_MESSAGE, RealmTenant, TenantLimits, WEIGHT_MAX, WEIGHT_MESSAGE,
    expiry::EXPIRY_MAX_CHARS, limits,
};
use crate::validation::{
    Checks, InvalidManifest, NAME_MAX_CHARS, NAME_MESSAGE, TEXT_MAX_CHARS, all_unique, is_label,
    is_object_name, is_sha256, is_url,
};

const OBJECT_NAME_MAX_CHARS: usize = 253;

impl RealmTenant {
    /// Checks everything that the CRD's schema and rules check on creation.
    pub fn validate(&self) -> Result<(), InvalidManifest> {
        let mut checks = Checks::default();
        let name = self.metadata.name.as_deref();
        checks.require(name.is_some_and(is_object_name), "metadata.name", NAME_MESSAGE);
        checks.items("spec.models", self.spec.models.len(), 1, MODELS_MAX);
        checks.require(
            all_unique(self.spec.models.iter().map(|model| &*model.name)),
            "spec",
            MODELS_MESSAGE,
        );
        for (index, model) in self.spec.models.iter().enumerate() {
            checks.length(&format!("spec.models[{index}].name"), &model.name, NAME_MAX_CHARS);
        }
        checks.items("spec.apiKeys", self.spec.api_keys.len(), 1, API_KEYS_MAX);
        checks.require(
            all_unique(self.spec.api_keys.iter().map(|key| &*key.name)),
            "spec",
            KEYS_MESSAGE,
        );
        for (index, key) in self.spec.api_keys.iter().enumerate() {
            check_key(key, &format!("spec.apiKeys[{index}]"), &mut checks);
        }
        let weight = (1..=WEIGHT_MAX).contains(&self.spec.weight);
        checks.require(weight, "spec.weight", WEIGHT_MESSAGE);
        check_limits(&self.spec.limits, &mut checks);
        if let Some(program) = &self.spec.program {
            check_program(program, &mut checks);
        }
        checks.finish("RealmTenant", name)
    }
}

fn check_program(program: &TenantProgram, checks: &mut Checks) {
    checks.length("spec.program.url", &program.url, TEXT_MAX_CHARS);
    checks.require(is_url(&program.url), "spec.program.url", URL_MESSAGE);
    checks.require(is_sha256(&program.sha256), "spec.program.sha256", SHA256_MESSAGE);
    let unique = program.grants.iter().collect::<BTreeSet<_>>().len() == program.grants.len();
    checks.require(unique, "spec.program.grants", GRANTS_MESSAGE);
    checks.require(program.limits.are_in_bounds(), "spec.program.limits", LIMITS_MESSAGE);
}

fn check_key(key: &ApiKey, field: &str, checks: &mut Checks) {
    let named = is_label(&key.name) && key.name.len() <= KEY_NAME_MAX_CHARS;
    checks.require(named, format!("{field}.name"), KEY_NAME_MESSAGE);
    checks.require(key.secret_key_ref.is_some() != key.generate, field, ORIGIN_MESSAGE);
    if let Some(expiry) = &key.expires_at {
        checks.length(&format!("{field}.expiresAt"), expiry, EXPIRY_MAX_CHARS);
    }
    if let Err(error) = key.expiry() {
        checks.require(false, format!("{field}.expiresAt"), error.to_string());
    }
    if let Some(secret) = &key.secret_key_ref {
        checks.length(&format!("{field}.secretKeyRef.name"), &secret.name, OBJECT_NAME_MAX_CHARS);
        checks.length(&format!("{field}.secretKeyRef.key"), &secret.key, OBJECT_NAME_MAX_CHARS);
    }
}

fn check_limits(given: &TenantLimits, checks: &mut Checks) {
    let mut require = |fine: bool, field: &str, message: &str| {
        checks.require(fine, format!("spec.limits.{field}"), message);
    };
    for (field, value) in [
        ("requestsPerMinute", given.requests_per_minute),
        ("inputTokensPerMinute", given.input_tokens_per_minute),
        ("outputTokensPerMinute", given.output_tokens_per_minute),
    ] {
        let fine = value.is_none_or(|value| (1..=limits::PER_MINUTE_MAX).contains(&value));
        require(fine, field, limits::PER_MINUTE_MESSAGE);
    }
    let day = given.tokens_per_day.is_none_or(|value| (1..=limits::PER_DAY_MAX).contains(&value));
    require(day, "tokensPerDay", limits::PER_DAY_MESSAGE);
    for (field, value) in [("maxConcurrent", given.max_concurrent), ("maxQueued", given.max_queued)]
    {
        let fine = (1..=limits::CONCURRENT_MAX).contains(&value);
        require(fine, field, limits::CONCURRENT_MESSAGE);
    }
    for (field, value) in [
        ("maxContextTokens", given.max_context_tokens),
        ("maxOutputTokens", given.max_output_tokens),
    ] {
        let fine = value.is_none_or(|value| (1..=limits::TOKENS_MAX).contains(&value));
        require(fine, field, limits::TOKENS_MESSAGE);
    }
    if let (Some(answer), Some(context)) = (given.max_output_tokens, given.max_context_tokens) {
        checks.require(answer < context, "spec.limits", limits::ANSWER_MESSAGE);
    }
    if let Some(amount) = &given.kv_bytes {
        check_bytes(amount, "spec.limits.kvBytes", checks);
    }
}

fn check_bytes(amount: &Quantity, field: &str, checks: &mut Checks) {
    match amount.bytes() {
        Err(error) => checks.require(false, field, error.to_string()),
        Ok(bytes) => {
            let fine = bytes > 0 && !amount.0.ends_with('m');
            checks.require(fine, field, limits::KV_BYTES_MESSAGE);
        }
    }
}
