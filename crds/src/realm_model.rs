//! RealmModel: one language model, its file, and how its pods serve it. Spec here; source, settings and status below.

pub(crate) mod settings;
pub(crate) mod source;
mod status;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use self::{
    settings::{
        Access, AccessMode, Cache, CacheMode, Engine, Exposure, KvCacheType, Observability,
        Resources, Rollout, Service, ServiceType, Speculation, SpeculationMode, Switch,
    },
    source::{HttpSource, HuggingFaceSource, ImageSource, PvcSource, SecretKey, Source},
    status::{Artifact, ManagedObject, ManagedState, RealmModelStatus},
};
use crate::validation::{NAME_MESSAGE, NAME_RULE};

/// Most aliases of one model.
pub const ALIASES_MAX: usize = 8;
/// Most replicas of one model.
pub const REPLICAS_MAX: i32 = 1000;

const ALIASES_RULE: &str =
    "!has(self.aliases) || self.aliases.all(a, self.aliases.exists_one(b, a == b))";
pub(crate) const ALIASES_MESSAGE: &str = "aliases must be unique: remove the one given twice";
const ALIAS_OF_ITSELF_RULE: &str =
    "!has(self.aliases) || !has(self.servedName) || self.aliases.all(a, a != self.servedName)";
pub(crate) const ALIAS_OF_ITSELF_MESSAGE: &str =
    "aliases must not repeat servedName: remove that alias";
pub(crate) const SERVED_NAME_MESSAGE: &str = "a served name or alias must start with a letter or digit and hold only letters, digits and the characters . _ : / -";
const SHARED_CACHE_RULE: &str =
    "self.cache.mode != 'PVC' || self.cache.accessMode != 'ReadWriteOnce' || self.replicas <= 1";
pub(crate) const SHARED_CACHE_MESSAGE: &str = "cache.accessMode ReadWriteOnce cannot be shared by several replicas: set cache.accessMode to ReadWriteMany, cache.mode to Ephemeral, or replicas to 1";

/// A language model and the pods that serve it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "realm.querent.io",
    version = "v1alpha1",
    kind = "RealmModel",
    plural = "realmmodels",
    shortname = "rm",
    category = "realm",
    namespaced,
    doc = "RealmModel serves one language model with an OpenAI-compatible API. It names the model's file and how many pods serve it; the operator makes the pods, the Service and the monitoring.",
    status = "RealmModelStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Model", type_ = "string", json_path = ".status.servedName", description = "name by which clients ask for the model"),
    printcolumn(name = "Quant", type_ = "string", json_path = ".status.artifact.quantization", description = "format of the weights"),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.artifact.size", description = "size of the model's file"),
    printcolumn(name = "Pods", type_ = "string", json_path = ".status.serving", description = "pods that serve the newest generation, of those wanted"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "every wanted pod serves the newest generation"),
    printcolumn(name = "Available", type_ = "string", json_path = ".status.conditions[?(@.type==\"Available\")].status", description = "at least one pod answers requests"),
    printcolumn(name = "Tenants", type_ = "integer", json_path = ".status.tenants", description = "tenants that may use the model"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", description = "URL inside the cluster", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "why Ready is what it is", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(NAME_RULE).message(NAME_MESSAGE),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(ALIASES_RULE).message(ALIASES_MESSAGE),
    validation = Rule::new(ALIAS_OF_ITSELF_RULE).message(ALIAS_OF_ITSELF_MESSAGE),
    validation = Rule::new(SHARED_CACHE_RULE).message(SHARED_CACHE_MESSAGE),
)]
pub struct RealmModelSpec {
    /// Where the model's GGUF file comes from. Exactly one of huggingFace, http, pvc and image must be set.
    pub source: Source,

    /// Name by which clients ask for the model (the `model` field of a request). Defaults to the resource's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9._:/-]*$')").message(SERVED_NAME_MESSAGE))]
    pub served_name: Option<String>,

    /// More names by which clients may ask for the model; at most 8, each different.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    #[x_kube(validation = Rule::new("self.all(a, a.matches('^[A-Za-z0-9][A-Za-z0-9._:/-]*$'))").message(SERVED_NAME_MESSAGE))]
    pub aliases: Vec<String>,

    /// How many pods serve the model. `kubectl scale` and autoscalers change this field.
    #[serde(default = "one_replica")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// Stops all pods while it is true, and keeps everything else. `replicas` keeps its value for the time after.
    #[serde(default)]
    pub suspend: bool,

    /// Settings of the inference engine in each pod.
    #[serde(default)]
    pub engine: Engine,

    /// CPU and memory of each pod.
    #[serde(default)]
    pub resources: Resources,

    /// Where a downloaded model file is kept. Has no effect for the sources pvc and image, which need no download.
    #[serde(default)]
    pub cache: Cache,

    /// How pods are replaced when the model changes.
    #[serde(default)]
    pub rollout: Rollout,

    /// Who may use the model.
    #[serde(default)]
    pub access: Access,

    /// How the model is reached.
    #[serde(default)]
    pub exposure: Exposure,

    /// Scraping and dashboards.
    #[serde(default)]
    pub observability: Observability,
}

fn one_replica() -> i32 {
    1
}

impl RealmModel {
    /// Name by which clients ask for the model: `spec.servedName`, or else the resource's name.
    #[must_use]
    pub fn served_name(&self) -> &str {
        self.spec.served_name.as_deref().or(self.metadata.name.as_deref()).unwrap_or_default()
    }
}
