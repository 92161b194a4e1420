//! The settings of a RealmModel beside its source, each with a default that works on any cluster.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{duration::Duration, quantity::Quantity};

pub(crate) const PVC_SIZE_RULE: &str = "self.mode != 'PVC' || has(self.size)";
pub(crate) const PVC_SIZE_MESSAGE: &str =
    "cache.size is required with mode PVC: give at least 1.2 times the size of the model's file";
pub(crate) const EPHEMERAL_RULE: &str = "self.mode == 'PVC' || !has(self.storageClassName)";
pub(crate) const EPHEMERAL_MESSAGE: &str =
    "cache.storageClassName needs mode PVC: set cache.mode to PVC or remove the class";
pub(crate) const CLASS_RULE: &str = "self.mode != 'PVC' || oldSelf.mode != 'PVC' || (self.accessMode == oldSelf.accessMode && has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName))";
pub(crate) const CLASS_MESSAGE: &str = "cache.storageClassName and cache.accessMode cannot change on an existing claim: set mode to Ephemeral first, then to PVC with the new values";
pub(crate) const KV_TOKENS_RULE: &str =
    "!has(self.kvTokens) || !has(self.contextLength) || self.kvTokens >= self.contextLength";
pub(crate) const KV_TOKENS_MESSAGE: &str = "engine.kvTokens must be at least engine.contextLength, else a sequence could not use its context: raise one or lower the other";
/// Prompt tokens of a step beside answers, when the manifest does not say.
pub(crate) const DEFAULT_PREFILL_TOKENS: u32 = 128;
/// Largest KV cache, in tokens.
pub(crate) const KV_TOKENS_MAX: i64 = 268_435_456;
pub(crate) const SURGE_RULE: &str = "self.maxSurge > 0 || self.maxUnavailable > 0";
pub(crate) const SURGE_MESSAGE: &str = "maxSurge and maxUnavailable must not both be 0, else no pod could ever be replaced: set one to 1";
pub(crate) const DRAIN_RULE: &str =
    "duration(self) >= duration('5s') && duration(self) <= duration('1h')";
pub(crate) const DRAIN_MESSAGE: &str = "drainTimeout must be from 5s to 1h";
pub(crate) const INTERVAL_RULE: &str =
    "duration(self) >= duration('1s') && duration(self) <= duration('1h')";
pub(crate) const INTERVAL_MESSAGE: &str = "interval must be from 1s to 1h";

/// How the KV cache stores keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum KvCacheType {
    /// Half precision.
    #[default]
    F16,
    /// Single precision: twice the memory.
    F32,
    /// Eight bits and a scale for each 32 numbers: about half the memory of F16, for a very small loss.
    #[serde(rename = "Q8_0")]
    Q8_0,
}

/// Settings of the inference engine.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{ "rule": KV_TOKENS_RULE, "message": KV_TOKENS_MESSAGE }]))]
pub struct Engine {
    /// Tokens of one sequence, prompt and answer together. Defaults to what the model was trained for, at most 8192.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub context_length: Option<u32>,
    /// Sequences that are generated at the same time. They share the KV cache, see kvTokens.
    #[schemars(range(min = 1, max = 256))]
    pub parallel: u32,
    /// Threads that compute. Defaults to the pod's CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<u32>,
    /// Tokens that one step computes at most. Larger values read long prompts faster, smaller ones keep the time
    /// between the tokens of other sequences short.
    #[schemars(range(min = 1, max = 65536))]
    pub batch_tokens: u32,
    /// Prompt tokens that one step computes at most while other sequences are answering. Bounds the time between the
    /// tokens of an answer beside which a long prompt is read.
    #[schemars(range(min = 1, max = 65536))]
    pub prefill_tokens: u32,
    /// How the KV cache stores keys and values: F16, F32 or Q8_0.
    pub kv_cache_type: KvCacheType,
    /// Tokens that the KV cache of a pod holds, of all sequences together. Sequences take room as they grow; when there is
    /// none left, the newest of the tenant that holds most begins again later. At least contextLength. Defaults to
    /// contextLength for each of the parallel sequences.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 268_435_456))]
    pub kv_tokens: Option<u32>,
    /// Guessing of the next tokens, so that one step can give several.
    pub speculation: Speculation,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            context_length: None,
            parallel: 4,
            threads: None,
            batch_tokens: 512,
            prefill_tokens: DEFAULT_PREFILL_TOKENS,
            kv_cache_type: KvCacheType::F16,
            kv_tokens: None,
            speculation: Speculation::default(),
        }
    }
}

/// When the next tokens are guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum SpeculationMode {
    /// Where it makes answers faster: measured while the engine runs, for each sequence.
    #[default]
    Auto,
    /// Never. (The word "Off" would be a boolean in the YAML that kubectl reads.)
    Never,
}

/// Speculative decoding: the next tokens are guessed from what the text repeats, and computed in the step that checks
/// them. Answers are the same as without it.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Speculation {
    /// Auto (guess where it makes answers faster) or Never.
    pub mode: SpeculationMode,
    /// Tokens guessed for one sequence in a step, at most.
    #[schemars(range(min = 1, max = 16))]
    pub max_draft_tokens: u32,
}

impl Default for Speculation {
    fn default() -> Self {
        Self { mode: SpeculationMode::Auto, max_draft_tokens: 8 }
    }
}

/// CPU and memory of each pod.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// CPUs of each pod, such as 4 or 500m: both requested and the limit. Left out, neither is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory of each pod, such as 2Gi: both requested and the limit. It must hold the KV cache and should hold the
    /// weights. Left out, neither is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

/// What keeps a downloaded model file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum CacheMode {
    /// The pod's own disk: works on any cluster, each new pod downloads again.
    #[default]
    Ephemeral,
    /// A PersistentVolumeClaim made for the model: a new pod finds the file.
    #[serde(rename = "PVC")]
    Pvc,
}

/// Who may mount the cache's claim at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum AccessMode {
    /// Pods of one node. The Deployment then replaces its pod instead of rolling, because two could deadlock.
    #[default]
    ReadWriteOnce,
    /// Pods of many nodes.
    ReadWriteMany,
}

/// Where a downloaded model file is kept.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{ "rule": PVC_SIZE_RULE, "message": PVC_SIZE_MESSAGE }, { "rule": EPHEMERAL_RULE, "message": EPHEMERAL_MESSAGE }, { "rule": CLASS_RULE, "message": CLASS_MESSAGE }]))]
pub struct Cache {
    /// Ephemeral (the pod's own disk, works on any cluster) or PVC (a claim made for the model, deleted with it).
    pub mode: CacheMode,
    /// Size of the claim, or limit of the pod's disk for the model; at least 1.2 times the size of the model's file.
    /// Required with mode PVC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// Storage class of the claim. Left out, the cluster's default class is used. Cannot change while mode is PVC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// ReadWriteOnce, or ReadWriteMany when several replicas share the claim. Cannot change while mode is PVC.
    pub access_mode: AccessMode,
}

/// How pods are replaced.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{ "rule": SURGE_RULE, "message": SURGE_MESSAGE }]))]
pub struct Rollout {
    /// Pods that may run beside the wanted number while rolling.
    #[schemars(range(min = 0, max = 100))]
    pub max_surge: i32,
    /// Pods that may be missing while rolling.
    #[schemars(range(min = 0, max = 100))]
    pub max_unavailable: i32,
    /// How long a pod that is being replaced may take to finish the answers it has begun: whole seconds, minutes or
    /// hours from 5s to 1h.
    #[schemars(extend("x-kubernetes-validations" = [{ "rule": DRAIN_RULE, "message": DRAIN_MESSAGE }]))]
    pub drain_timeout: Duration,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { max_surge: 1, max_unavailable: 0, drain_timeout: Duration::from_seconds(120) }
    }
}

/// Who may use the model.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Access {
    /// Answers requests without an API key when true. Otherwise only the keys of RealmTenants are let in.
    pub anonymous: bool,
}

/// How the model is reached.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Exposure {
    /// The Service in front of the pods; it has the name of the RealmModel.
    pub service: Service,
}

/// Type of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ServiceType {
    /// Reached inside the cluster.
    #[default]
    ClusterIP,
    /// Also reached at a port of every node.
    NodePort,
    /// Also reached through a load balancer of the cloud.
    LoadBalancer,
}

impl ServiceType {
    /// The word that the Kubernetes API uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// The Service in front of the pods.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// ClusterIP, NodePort or LoadBalancer.
    #[serde(rename = "type")]
    pub type_: ServiceType,
    /// Port of the Service. On a laptop `realm serve` has its own flag.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

impl Default for Service {
    fn default() -> Self {
        Self { type_: ServiceType::ClusterIP, port: 80 }
    }
}

/// When an optional object is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Switch {
    /// When the cluster knows its kind.
    #[default]
    Auto,
    /// Always; the cluster not knowing its kind is then reported as a failure.
    Always,
    /// Never.
    Never,
}

/// Scraping and dashboards.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observability {
    /// Whether a ServiceMonitor is made, so that the Prometheus operator scrapes the pods.
    pub service_monitor: Switch,
    /// Whether a ConfigMap with a Grafana dashboard is made (label grafana_dashboard=1). It needs no extra kind, so
    /// Auto and Always do the same.
    pub dashboard: Switch,
    /// Labels added to the ServiceMonitor and the dashboard, such as the one that your Prometheus selects by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub labels: BTreeMap<String, String>,
    /// Time between two scrapes, from 1s to 1h.
    #[schemars(extend("x-kubernetes-validations" = [{ "rule": INTERVAL_RULE, "message": INTERVAL_MESSAGE }]))]
    pub interval: Duration,
}

impl Default for Observability {
    fn default() -> Self {
        Self {
            service_monitor: Switch::Auto,
            dashboard: Switch::Auto,
            labels: BTreeMap::new(),
            interval: Duration::from_seconds(30),
        }
    }
}
