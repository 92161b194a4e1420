//! What the operator observed about a RealmModel: applied objects and reports of the pods, never intention.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was observed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RealmModelStatus {
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Name by which clients ask for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_name: Option<String>,
    /// The model's file, as the pods report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// Pods that exist.
    pub replicas: i32,
    /// Pods that are ready.
    pub ready_replicas: i32,
    /// Pods of the newest template.
    pub updated_replicas: i32,
    /// Pods that have been ready for long enough.
    pub available_replicas: i32,
    /// Pods that report the newest generation and the expected digest, of those wanted, such as 1/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<String>,
    /// Label selector of the pods, for autoscalers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// URL of the API inside the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Newest generation whose engine settings every wanted pod reports to serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_generation: Option<i64>,
    /// SHA-256 of the file that every wanted pod reports to serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_digest: Option<String>,
    /// Tenants that may use the model.
    pub tenants: i32,
    /// Version of the tenant table that was last written for the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants_version: Option<String>,
    /// Version of the tenant table that every wanted pod reports to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_tenants_version: Option<String>,
    /// Objects that belong to the model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managed: Vec<ManagedObject>,
    /// Verdicts: Accepted, ArtifactReady, Programmed, Available, Progressing, Ready, MonitoringReady.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A model's file, as the pods report it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Artifact {
    /// SHA-256 of the file.
    pub digest: String,
    /// Size of the file in bytes.
    pub bytes: i64,
    /// Size of the file for people, such as 93.8 MiB.
    pub size: String,
    /// Format of the weights, such as Q4_1.
    pub quantization: String,
    /// Number of parameters.
    pub parameters: i64,
    /// Tokens of one sequence that the pods allow.
    pub context_length: i64,
}

/// What became of an object that the spec asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ManagedState {
    /// It was applied.
    Applied,
    /// The cluster does not know its kind.
    CrdMissing,
    /// The spec turns it off.
    Disabled,
}

/// An object that belongs to the model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedObject {
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// What became of it.
    pub state: ManagedState,
}
