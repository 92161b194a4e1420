//! RealmTenant: who may use which models, with which API keys.

mod class;
pub mod expiry;
pub mod limits;
pub mod program;
mod status;

use k8s_openapi::jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use self::expiry::{EXPIRY_MESSAGE, FORM_RULE, TIME_RULE};
use self::program::TenantProgram;
pub use self::{
    class::TenantClass,
    expiry::BadExpiry,
    limits::TenantLimits,
    status::{KeyStatus, ModelStatus, RealmTenantStatus},
};
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
/// Weight of a tenant whose manifest does not say.
pub const DEFAULT_WEIGHT: u32 = 100;
/// Largest weight.
pub const WEIGHT_MAX: u32 = 1000;

const MODELS_RULE: &str = "self.models.all(a, self.models.exists_one(b, a.name == b.name))";
pub(crate) const MODELS_MESSAGE: &str = "models must be unique: remove the name given twice";
const KEYS_RULE: &str = "self.apiKeys.all(a, self.apiKeys.exists_one(b, a.name == b.name))";
pub(crate) const KEYS_MESSAGE: &str = "the names of apiKeys must be unique: rename one of them";
const ORIGIN_RULE: &str = "has(self.secretKeyRef) != self.generate";
pub(crate) const ORIGIN_MESSAGE: &str = "set exactly one of secretKeyRef and generate: true";
pub(crate) const KEY_NAME_MESSAGE: &str = "name must hold only lower-case letters, digits and inner '-', at most 20 characters, because it also names a Secret";

const WEIGHT_RULE: &str = "self >= 1 && self <= 1000";
pub(crate) const WEIGHT_MESSAGE: &str = "weight must be from 1 to 1000: a tenant of weight 200 gets twice the share of one of 100, which is the default";

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
    printcolumn(name = "Weight", type_ = "integer", json_path = ".spec.weight", description = "share of the machine among tenants that compete for it"),
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

    /// What the tenant may use at most. Each pod of a model counts by itself.
    #[serde(default)]
    pub limits: TenantLimits,

    /// Share of the machine, 1 to 1000, among tenants that compete for it: one of weight 200 gets twice the tokens of
    /// one of 100. Nothing is held back for a tenant that asks for nothing.
    #[serde(default = "default_weight")]
    #[x_kube(validation = Rule::new(WEIGHT_RULE).message(WEIGHT_MESSAGE))]
    pub weight: u32,

    /// How urgent the tenant's requests are: Realtime (someone waits for each token), Standard, or Batch (takes what the
    /// others leave).
    #[serde(default)]
    pub class: TenantClass,

    /// A program of the tenant's own, which checks and shapes its requests and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<TenantProgram>,

    /// Refuses all requests of the tenant while it is true, within seconds. Answers that are under way end.
    #[serde(default)]
    pub suspend: bool,
}

fn default_weight() -> u32 {
    DEFAULT_WEIGHT
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

    /// Time after which the key is refused, as RFC 3339, such as 2027-01-31T00:00:00Z. Left out, it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35))]
    #[x_kube(
        validation = Rule::new(FORM_RULE).message(EXPIRY_MESSAGE),
        validation = Rule::new(TIME_RULE).message(EXPIRY_MESSAGE),
    )]
    pub expires_at: Option<String>,
}

impl ApiKey {
    /// The parsed `expiresAt`: no time when none is given.
    pub fn expiry(&self) -> Result<Option<Timestamp>, BadExpiry> {
        self.expires_at.as_deref().map(expiry::parse).transpose()
    }

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
