//! Every name that two crates, or a crate and a manifest, must agree on. A leaf: it imports nothing of ours.

/// API group of all Realm resources.
pub const GROUP: &str = "realm.querent.io";
/// The one served version of the API group.
pub const VERSION: &str = "v1alpha1";
/// The name under which the operator owns fields (server-side apply).
pub const FIELD_MANAGER: &str = "realm-operator";

/// Label with the name of the RealmModel on every object made for it.
pub const LABEL_MODEL: &str = "realm.querent.io/model";
/// Label with the name of the RealmTenant on every object made for it.
pub const LABEL_TENANT: &str = "realm.querent.io/tenant";
/// Recommended Kubernetes label: which program.
pub const LABEL_APP_NAME: &str = "app.kubernetes.io/name";
/// Recommended Kubernetes label: which instance of the program.
pub const LABEL_APP_INSTANCE: &str = "app.kubernetes.io/instance";
/// Recommended Kubernetes label: which part of the program.
pub const LABEL_APP_COMPONENT: &str = "app.kubernetes.io/component";
/// Recommended Kubernetes label: who manages the object. The operator watches only objects with its own value.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`] on all children.
pub const MANAGED_BY: &str = "realm-operator";
/// Value of [`LABEL_APP_NAME`] on all children.
pub const APP_NAME: &str = "realm";
/// Label by which the Grafana dashboard sidecar finds ConfigMaps.
pub const LABEL_GRAFANA_DASHBOARD: &str = "grafana_dashboard";

/// Annotation on every child: hash of what the operator last applied, so that equal work is not repeated.
pub const ANNOTATION_APPLIED: &str = "realm.querent.io/applied-hash";
/// Annotation on the pod template: hash of the engine settings without their generation.
pub const ANNOTATION_ENGINE_HASH: &str = "realm.querent.io/engine-hash";
/// Annotation on the pod template: the generation at which the engine settings last changed.
pub const ANNOTATION_ENGINE_GENERATION: &str = "realm.querent.io/engine-generation";
/// Annotation on a RealmModel or RealmTenant: with value `true` the operator leaves the object and its children alone.
pub const ANNOTATION_PAUSED: &str = "realm.querent.io/paused";

/// Port of the OpenAI-compatible API in the pod.
pub const API_PORT: u16 = 8080;
/// Port of health and metrics in the pod; tenants never reach it.
pub const MANAGEMENT_PORT: u16 = 8081;
/// Name of the API port in pods and Services.
pub const API_PORT_NAME: &str = "http";
/// Name of the management port in pods and Services.
pub const MANAGEMENT_PORT_NAME: &str = "management";

/// File name (and ConfigMap key) of the [`EngineConfig`](crate::EngineConfig).
pub const ENGINE_FILE: &str = "engine.json";
/// File name (and Secret key) of the [`TenantTable`](crate::TenantTable).
pub const TENANTS_FILE: &str = "tenants.json";
/// Folder of [`ENGINE_FILE`] in the pod.
pub const ENGINE_MOUNT: &str = "/etc/realm/engine";
/// Folder of [`TENANTS_FILE`] in the pod.
pub const TENANTS_MOUNT: &str = "/etc/realm/tenants";
/// Folder of the model store in the pod.
pub const STORE_MOUNT: &str = "/var/lib/realm/models";
/// Folder of compiled programs in the pod.
pub const PROGRAMS_MOUNT: &str = "/var/lib/realm/programs";
/// Folder where a `pvc` or `image` source is mounted in the pod, read-only.
pub const SOURCE_MOUNT: &str = "/var/lib/realm/source";

/// Key inside a Secret that the operator made for `generate: true`.
pub const GENERATED_KEY: &str = "apiKey";
/// What every generated API key starts with, so that leaked keys can be recognised.
pub const GENERATED_KEY_PREFIX: &str = "rlm_";

/// Name of the Secret that holds the generated API key `key` of `tenant`.
#[must_use]
pub fn generated_secret(tenant: &str, key: &str) -> String {
    format!("{tenant}-{key}")
}
