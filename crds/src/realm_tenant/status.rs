//! What the operator observed about a RealmTenant. It must never hold a key or a whole hash of one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was observed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RealmTenantStatus {
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Keys that could be read, of those listed, such as 2/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_found: Option<String>,
    /// Models whose pods all use the newest keys, of those listed, such as 1/1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models_synced: Option<String>,
    /// The models that the tenant asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub models: Vec<ModelStatus>,
    /// The API keys that could be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub keys: Vec<KeyStatus>,
    /// Verdicts: Accepted, ResolvedRefs, KeysReady, Programmed, ProgramReady (with a program), Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// One model that the tenant asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// Name of the RealmModel.
    pub name: String,
    /// Whether the tenant may use it.
    pub accepted: bool,
    /// Why, in CamelCase.
    pub reason: String,
    /// Whether every pod of the model reports the newest keys.
    pub synced: bool,
}

/// One API key of the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// Name of the key.
    pub name: String,
    /// Secret that holds it.
    pub secret: String,
    /// First 8 hexadecimal digits of its SHA-256, to tell keys apart.
    pub hash_prefix: String,
    /// Whether the operator made it.
    pub generated: bool,
}
