//! The checks of the CRD schema once more, for a laptop without an API server: same fields, same words.

use crate::realm_tenant::{
    API_KEYS_MAX, ApiKey, KEY_NAME_MAX_CHARS, KEY_NAME_MESSAGE, KEYS_MESSAGE, MODELS_MAX,
    MODELS_MESSAGE, ORIGIN_MESSAGE, RealmTenant,
};
use crate::validation::{
    Checks, InvalidManifest, NAME_MAX_CHARS, NAME_MESSAGE, all_unique, is_label, is_object_name,
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
        checks.finish("RealmTenant", name)
    }
}

fn check_key(key: &ApiKey, field: &str, checks: &mut Checks) {
    let named = is_label(&key.name) && key.name.len() <= KEY_NAME_MAX_CHARS;
    checks.require(named, format!("{field}.name"), KEY_NAME_MESSAGE);
    checks.require(key.secret_key_ref.is_some() != key.generate, field, ORIGIN_MESSAGE);
    if let Some(secret) = &key.secret_key_ref {
        checks.length(&format!("{field}.secretKeyRef.name"), &secret.name, OBJECT_NAME_MAX_CHARS);
        checks.length(&format!("{field}.secretKeyRef.key"), &secret.key, OBJECT_NAME_MAX_CHARS);
    }
}
