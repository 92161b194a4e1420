//! RealmTenant: who may use which models, with which API keys.

mod status;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use self::status::{KeyStatus, ModelStatus, RealmTenantStatus};
use crate::{
    names::{GENERATED_KEY, generated_secret},
    realm_model::SecretKey,
    validation::{NAME_MESSAGE, NAME_RULE},
};

/// Most models of one tenant.
pub const MODELS_MAX: usize = 32;
/// Most API keys of one tenant.
pub const API_KEYS_MAX: usize = 10;
/// Longest name of an API key.
pub const KEY_NAME_MAX_CHARS: usize = 20;

const MODELS_RULE: &str = "self.models.all(a, self.models.exists_one(b, a.name == b.name))";
pub(crate) const MODELS_MESSAGE: &str = "models must be unique: remove the name given twice";
const KEYS_RULE: &str = "self.apiKeys.all(a, self.apiKeys.exists_one(b, a.name == b.name))";
pub(crate) const KEYS_MESSAGE: &str = "the names of apiKeys must be unique: rename one of them";
const ORIGIN_RULE: &str = "has(self.secretKeyRef) != self.generate";
pub(crate) const ORIGIN_MESSAGE: &str = "set exactly one of secretKeyRef and generate: true";
pub(crate) const KEY_NAME_MESSAGE: &str = "name must hold only lower-case letters, digits and inner '-', at most 20 characters, because it also names a Secret";

/// Someone who may use models.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "realm.querent.io",
    version = "v1alpha1",
    kind = "RealmTenant",
    plural = "realmtenants",
    shortname = "rt",
    category = "realm",
    namespaced,
    doc = "RealmTenant lets someone use models of its namespace. It holds API keys by reference; only their SHA-256 hashes reach the pods.",
    status = "RealmTenantStatus",
    derive = "PartialEq",
    printcolumn(name = "Models", type_ = "string", json_path = ".spec.models[*].name", description = "models that the tenant may use"),
    printcolumn(name = "Keys", type_ = "string", json_path = ".status.keysFound", description = "API keys that could be read, of those listed"),
    printcolumn(name = "Synced", type_ = "string", json_path = ".status.modelsSynced", description = "models whose pods all use the newest keys, of those listed"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", description = "whether all its requests are refused"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "every key works at every model"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "why Ready is what it is", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(NAME_RULE).message(NAME_MESSAGE),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(MODELS_RULE).message(MODELS_MESSAGE),
    validation = Rule::new(KEYS_RULE).message(KEYS_MESSAGE),
)]
pub struct RealmTenantSpec {
    /// Models of the same namespace that the tenant may use; 1 to 32, each named once.
    #[schemars(length(min = 1, max = 32))]
    pub models: Vec<TenantModel>,

    /// API keys of the tenant; 1 to 10, each with its own name. Two keys at a time make a rotation without a gap.
    #[schemars(length(min = 1, max = 10))]
    pub api_keys: Vec<ApiKey>,

    /// Refuses all requests of the tenant while it is true.
    #[serde(default)]
    pub suspend: bool,
}

/// A model that a tenant may use.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantModel {
    /// Name of a RealmModel in the same namespace.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
}

/// An API key of a tenant, by reference.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(ORIGIN_RULE).message(ORIGIN_MESSAGE))]
pub struct ApiKey {
    /// Name of the key, for people and metrics; at most 20 characters.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message(KEY_NAME_MESSAGE))]
    pub name: String,

    /// Key of an existing Secret in the same namespace that holds the API key; at least 16 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKey>,

    /// Makes the operator create a random key, once, in the Secret TENANT-NAME under `apiKey`.
    #[serde(default)]
    pub generate: bool,
}

impl ApiKey {
    /// The Secret that holds the key of `tenant`, given or generated.
    #[must_use]
    pub fn secret(&self, tenant: &str) -> SecretKey {
        self.secret_key_ref.clone().unwrap_or_else(|| SecretKey {
            name: generated_secret(tenant, &self.name),
            key: GENERATED_KEY.to_owned(),
        })
    }
}

impl RealmTenant {
    /// Whether the tenant asks for the RealmModel `name` of its own namespace.
    #[must_use]
    pub fn wants_model(&self, name: &str) -> bool {
        self.spec.models.iter().any(|model| model.name == name)
    }
}
