//! First step: reads everything that a RealmModel refers to. Reads only; it must not judge what it finds.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret},
};
use kube::{Api, ResourceExt};
use realm_crds::{
    RealmModel, RealmTenant, names,
    resolve::{KeyHashes, KeyRef, hash_api_key, key_refs},
};

use crate::{api_error::said, capabilities::Capabilities, context::Context};

/// What a RealmModel refers to.
#[derive(Debug, Default)]
pub struct Fetched {
    /// RealmTenants of the namespace that name the model and obey the rules of their kind.
    pub tenants: Vec<RealmTenant>,
    /// Hashes of their API keys.
    pub hashes: KeyHashes,
    /// The Deployment as it is.
    pub deployment: Option<Arc<Deployment>>,
    /// Optional kinds that the cluster knows.
    pub capabilities: Capabilities,
}

/// Why a reference could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DereferenceError {
    /// The API server refused or failed.
    #[error("failed to read Secret {namespace}/{name}: {}", said(.source))]
    Secret {
        /// Namespace of the Secret.
        namespace: String,
        /// Name of the Secret.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
}

/// Reads the tenants, the hashes of their keys, and the Deployment.
pub async fn dereference(model: &RealmModel, ctx: &Context) -> Result<Fetched, DereferenceError> {
    let (namespace, name) = (model.namespace().unwrap_or_default(), model.name_any());
    let tenants: Vec<RealmTenant> = ctx
        .caches
        .tenants_of(&namespace, &name)
        .iter()
        .filter(|tenant| tenant.metadata.deletion_timestamp.is_none() && tenant.validate().is_ok())
        .map(|tenant| RealmTenant::clone(tenant))
        .collect();
    let hashes = read_hashes(ctx, key_refs(&namespace, &name, &tenants)).await?;
    Ok(Fetched {
        tenants,
        hashes,
        deployment: ctx.caches.deployment(&namespace, &name),
        capabilities: *ctx.capabilities.borrow(),
    })
}

/// Hashes of the keys that exist and are usable; each Secret is read once.
pub async fn read_hashes(
    ctx: &Context,
    places: Vec<KeyRef>,
) -> Result<KeyHashes, DereferenceError> {
    let mut secrets: BTreeMap<(String, String), Option<Secret>> = BTreeMap::new();
    let mut hashes = KeyHashes::new();
    for place in places {
        let id = (place.namespace.clone(), place.secret.name.clone());
        if !secrets.contains_key(&id) {
            let secret = read_secret(ctx, &id.0, &id.1).await?;
            secrets.insert(id.clone(), secret);
        }
        let data =
            secrets.get(&id).and_then(Option::as_ref).and_then(|secret| secret.data.as_ref());
        let hash = data
            .and_then(|data| data.get(&place.secret.key))
            .and_then(|key| hash_api_key(&key.0).ok());
        if let Some(hash) = hash {
            hashes.insert(place, hash);
        }
    }
    Ok(hashes)
}

async fn read_secret(
    ctx: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<Secret>, DereferenceError> {
    Api::<Secret>::namespaced(ctx.client.clone(), namespace).get_opt(name).await.map_err(|source| {
        DereferenceError::Secret { namespace: namespace.to_owned(), name: name.to_owned(), source }
    })
}

/// The model's pods, those that are going away too.
#[must_use]
pub fn pods(ctx: &Context, namespace: &str, name: &str) -> Vec<Arc<Pod>> {
    let mut pods = ctx.caches.pods.state_filter(|pod| {
        pod.namespace().as_deref() == Some(namespace)
            && pod.labels().get(names::LABEL_MODEL).is_some_and(|model| model == name)
    });
    pods.sort_by_key(|pod| pod.name_any());
    pods
}
