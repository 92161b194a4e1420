//! The children of a RealmModel as one typed set, before and after they were written, and what all children share.
//!
//! A status takes `Resources<Applied>` only, so it cannot be computed from intention. It must not call the API server.

use std::{collections::BTreeMap, marker::PhantomData};

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::core::DynamicObject;
use realm_crds::names;

/// Marks children that were built and not yet written.
#[derive(Clone, Copy, Debug)]
pub enum Prepared {}

/// Marks children as the API server returned them.
#[derive(Clone, Copy, Debug)]
pub enum Applied {}

/// All children of one RealmModel. A new kind is a new field; `apply` takes the set apart field by field, so a kind
/// that nobody applies does not compile.
#[derive(Clone, Debug)]
pub struct Resources<State> {
    /// Identity of the pods; holds no rights and mounts no token.
    pub service_account: ServiceAccount,
    /// `engine.json`, named by its hash.
    pub engine_config: ConfigMap,
    /// `tenants.json`: hashes of API keys.
    pub tenants: Secret,
    /// Keeps the model's file when the cache is a claim.
    pub claim: Option<PersistentVolumeClaim>,
    /// The pods.
    pub deployment: Deployment,
    /// The API.
    pub service: Service,
    /// Metrics and health of every pod, ready or not; has no address of its own.
    pub metrics_service: Service,
    /// Tells the Prometheus operator to scrape the pods; absent when turned off or unknown to the cluster.
    pub service_monitor: Option<DynamicObject>,
    /// Grafana dashboard; absent when turned off.
    pub dashboard: Option<ConfigMap>,
    /// Whether the children were written.
    pub state: PhantomData<State>,
}

/// Who owns a child, and how it is labelled.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Namespace of the owner and of all children.
    pub namespace: String,
    /// Reference that makes Kubernetes delete the children with the owner.
    pub reference: OwnerReference,
    /// Labels of all children.
    pub labels: BTreeMap<String, String>,
}

impl Owner {
    /// The owner `reference` of kind RealmModel.
    #[must_use]
    pub fn model(namespace: &str, reference: OwnerReference) -> Self {
        let mut labels = common_labels(&reference.name);
        labels.insert(names::LABEL_MODEL.to_owned(), reference.name.clone());
        Self { namespace: namespace.to_owned(), reference, labels }
    }

    /// The owner `reference` of kind RealmTenant.
    #[must_use]
    pub fn tenant(namespace: &str, reference: OwnerReference) -> Self {
        let mut labels = common_labels(&reference.name);
        labels.insert(names::LABEL_TENANT.to_owned(), reference.name.clone());
        Self { namespace: namespace.to_owned(), reference, labels }
    }

    /// Metadata of a child.
    #[must_use]
    pub fn child(&self, name: impl Into<String>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.into()),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels.clone()),
            owner_references: Some(vec![self.reference.clone()]),
            ..ObjectMeta::default()
        }
    }

    /// Whether an object belongs to this very owner, not to a namesake before it.
    #[must_use]
    pub fn owns(&self, metadata: &ObjectMeta) -> bool {
        metadata.owner_references.iter().flatten().any(|owner| owner.uid == self.reference.uid)
    }
}

fn common_labels(instance: &str) -> BTreeMap<String, String> {
    [
        (names::LABEL_APP_NAME, names::APP_NAME),
        (names::LABEL_APP_INSTANCE, instance),
        (names::LABEL_MANAGED_BY, names::MANAGED_BY),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Labels by which Services and the Deployment find a model's pods. They can never change: selectors are immutable.
#[must_use]
pub fn pod_selector(model: &str) -> BTreeMap<String, String> {
    [(names::LABEL_MODEL, model), (names::LABEL_APP_COMPONENT, ENGINE_COMPONENT)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Value of the component label on pods.
pub const ENGINE_COMPONENT: &str = "engine";
/// Value of the component label on the metrics Service.
pub const METRICS_COMPONENT: &str = "metrics";
/// Name of the container that serves.
pub const ENGINE_CONTAINER: &str = "engine";
/// Name of the init container that downloads the model's file.
pub const DOWNLOAD_CONTAINER: &str = "download";

/// Name of the tenants' Secret of a model.
#[must_use]
pub fn tenants_secret(model: &str) -> String {
    format!("{model}-tenants")
}

/// Name of the metrics Service of a model.
#[must_use]
pub fn metrics_service(model: &str) -> String {
    format!("{model}-metrics")
}

/// Name of the dashboard ConfigMap of a model.
#[must_use]
pub fn dashboard(model: &str) -> String {
    format!("{model}-dashboard")
}

/// Name of the claim of a model's cache.
#[must_use]
pub fn claim(model: &str) -> String {
    format!("{model}-cache")
}
