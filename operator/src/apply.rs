//! Fourth step: the only file that writes children. Server-side apply where something differs, then orphans.

use std::{collections::BTreeSet, fmt::Debug, marker::PhantomData, sync::Arc};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    core::{DynamicObject, NamespaceResourceScope},
    runtime::reflector::{ObjectRef, Store},
};
use realm_crds::names;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    api_error::said,
    capabilities::{Capabilities, service_monitor_resource},
    context::Context,
    drift,
    resources::{Applied, Owner, Prepared, Resources},
};

/// Why a child could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused or failed.
    #[error("failed to {verb} {kind} {name}: {}", said(.source))]
    Api {
        /// What was tried.
        verb: &'static str,
        /// Kind of the child.
        kind: String,
        /// Name of the child.
        name: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// An object of that name belongs to somebody else.
    #[error(
        "{kind} {name} exists and does not belong to this resource: delete or rename it, or rename this resource"
    )]
    Taken {
        /// Kind of the child.
        kind: String,
        /// Name of the child.
        name: String,
    },
    /// A child cannot be written as JSON.
    #[error("failed to write {kind} as JSON: {source}")]
    Json {
        /// Kind of the child.
        kind: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Writes all children that differ, and removes those that are no longer asked for.
pub async fn apply(
    ctx: &Context,
    owner: &Owner,
    prepared: Resources<Prepared>,
    capabilities: Capabilities,
) -> Result<Resources<Applied>, ApplyError> {
    let Resources {
        service_account,
        engine_config,
        tenants,
        claim,
        deployment,
        service,
        metrics_service,
        service_monitor,
        dashboard,
        state: PhantomData,
    } = prepared;
    let caches = &ctx.caches;
    let service_account = child(ctx, owner, service_account, &caches.service_accounts).await?;
    let engine_config = child(ctx, owner, engine_config, &caches.config_maps).await?;
    let tenants = write(ctx, owner, &namespaced::<Secret>(ctx, owner), tenants, None).await?;
    let claim = match claim {
        Some(claim) => Some(child(ctx, owner, claim, &caches.claims).await?),
        None => None,
    };
    let deployment = Box::pin(child(ctx, owner, deployment, &caches.deployments)).await?;
    let service = child(ctx, owner, service, &caches.services).await?;
    let metrics_service = child(ctx, owner, metrics_service, &caches.services).await?;
    let service_monitor = match service_monitor {
        Some(desired) => {
            let live = caches.service_monitor(&owner.namespace, &desired.name_any());
            Some(write(ctx, owner, &service_monitors(ctx, owner), desired, live).await?)
        }
        None => None,
    };
    let dashboard = match dashboard {
        Some(dashboard) => Some(child(ctx, owner, dashboard, &caches.config_maps).await?),
        None => None,
    };
    let applied = Resources::<Applied> {
        service_account,
        engine_config,
        tenants,
        claim,
        deployment,
        service,
        metrics_service,
        service_monitor,
        dashboard,
        state: PhantomData,
    };
    prune(ctx, owner, &applied, capabilities).await?;
    Ok(applied)
}

fn namespaced<K>(ctx: &Context, owner: &Owner) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(ctx.client.clone(), &owner.namespace)
}

fn service_monitors(ctx: &Context, owner: &Owner) -> Api<DynamicObject> {
    Api::namespaced_with(ctx.client.clone(), &owner.namespace, &service_monitor_resource())
}

/// Writes a child whose kind is watched.
async fn child<K>(
    ctx: &Context,
    owner: &Owner,
    desired: K,
    store: &Store<K>,
) -> Result<K, ApplyError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let live = store.get(&ObjectRef::new(&desired.name_any()).within(&owner.namespace));
    write(ctx, owner, &namespaced(ctx, owner), desired, live).await
}

/// Writes a child unless the live object already is what was applied and still holds it.
async fn write<K>(
    ctx: &Context,
    owner: &Owner,
    api: &Api<K>,
    mut desired: K,
    cached: Option<Arc<K>>,
) -> Result<K, ApplyError>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let (kind, name) = (kind_of(api), desired.name_any());
    let failed = |verb| {
        let (kind, name) = (kind.clone(), name.clone());
        move |source| ApplyError::Api { verb, kind, name, source: Box::new(source) }
    };
    let json = to_json(&kind, &desired)?;
    let hash = hex::encode(Sha256::digest(json.to_string()))[..16].to_owned();
    desired.annotations_mut().insert(names::ANNOTATION_APPLIED.to_owned(), hash.clone());
    let live = match cached {
        Some(live) => Some(K::clone(&live)),
        None => api.get_opt(&name).await.map_err(failed("read"))?,
    };
    if let Some(live) = live {
        if !owner.owns(live.meta()) {
            return Err(ApplyError::Taken { kind, name });
        }
        let same = live.annotations().get(names::ANNOTATION_APPLIED) == Some(&hash);
        let untouched = drift::holds(&json, &to_json(&kind, &live)?);
        if live.meta().deletion_timestamp.is_some() || (same && untouched) {
            return Ok(live);
        }
        if same {
            ctx.metrics.drift_corrected(&kind);
        }
    }
    server_side_apply(api, &name, &desired).await.map_err(failed("apply"))
}

/// A hand edit can change the key of a list item (the port of a Service). Server-side apply then adds ours beside the
/// foreign one, which the API server may refuse; a merge patch replaces the list first.
async fn server_side_apply<K>(api: &Api<K>, name: &str, desired: &K) -> Result<K, kube::Error>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    match api.patch(name, &params, &Patch::Apply(desired)).await {
        Err(kube::Error::Api(status)) if status.is_invalid() => {
            let merge = PatchParams {
                field_manager: params.field_manager.clone(),
                ..PatchParams::default()
            };
            api.patch(name, &merge, &Patch::Merge(desired)).await?;
            api.patch(name, &params, &Patch::Apply(desired)).await
        }
        result => result,
    }
}

fn to_json<K: Serialize>(kind: &str, object: &K) -> Result<Value, ApplyError> {
    serde_json::to_value(object)
        .map_err(|source| ApplyError::Json { kind: kind.to_owned(), source })
}

/// Plural of the kind, as in its URL.
fn kind_of<K: Resource>(api: &Api<K>) -> String {
    api.resource_url().rsplit('/').next().unwrap_or_default().to_owned()
}

/// Removes children that the owner no longer asks for. Engine settings stay while a pod mounts them.
async fn prune(
    ctx: &Context,
    owner: &Owner,
    applied: &Resources<Applied>,
    capabilities: Capabilities,
) -> Result<(), ApplyError> {
    let mut config_maps = mounted_config_maps(ctx, owner);
    config_maps.insert(applied.engine_config.name_any());
    config_maps.extend(applied.dashboard.as_ref().map(ResourceExt::name_any));
    orphans(ctx, owner, &ctx.caches.config_maps, &config_maps).await?;
    let claims = applied.claim.iter().map(ResourceExt::name_any).collect();
    orphans(ctx, owner, &ctx.caches.claims, &claims).await?;
    let name = &owner.reference.name;
    let monitor = ctx
        .caches
        .service_monitor(&owner.namespace, name)
        .filter(|monitor| owner.owns(monitor.meta()));
    if let Some(monitor) = monitor
        && applied.service_monitor.is_none()
        && capabilities.service_monitor
    {
        delete(&service_monitors(ctx, owner), &*monitor).await?;
    }
    Ok(())
}

fn mounted_config_maps(ctx: &Context, owner: &Owner) -> BTreeSet<String> {
    let pods: Vec<Arc<Pod>> = ctx.caches.pods.state_filter(|pod| {
        pod.namespace().as_deref() == Some(&owner.namespace)
            && pod.labels().get(names::LABEL_MODEL) == Some(&owner.reference.name)
    });
    let volumes = pods.iter().filter_map(|pod| pod.spec.as_ref()?.volumes.as_ref()).flatten();
    volumes
        .filter_map(|volume| volume.config_map.as_ref())
        .map(|source| source.name.clone())
        .collect()
}

async fn orphans<K>(
    ctx: &Context,
    owner: &Owner,
    store: &Store<K>,
    keep: &BTreeSet<String>,
) -> Result<(), ApplyError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let gone = store.state_filter(|object| {
        object.namespace().as_deref() == Some(&owner.namespace)
            && owner.owns(object.meta())
            && object.meta().deletion_timestamp.is_none()
            && !keep.contains(&object.name_any())
    });
    for object in gone {
        delete(&namespaced(ctx, owner), &*object).await?;
    }
    Ok(())
}

/// Deletes this very object, not a namesake that came after it.
async fn delete<K>(api: &Api<K>, object: &K) -> Result<(), ApplyError>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let only_this = Preconditions { uid: object.uid(), resource_version: None };
    let params = DeleteParams::background().preconditions(only_this);
    match api.delete(&object.name_any(), &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(source) => Err(ApplyError::Api {
            verb: "delete",
            kind: kind_of(api),
            name: object.name_any(),
            source: Box::new(source),
        }),
    }
}

/// Annotates pods that use an older tenant table. The kubelet renews a pod's mounted Secrets when the pod changes, so
/// a new or revoked key takes effect within seconds and not at the kubelet's next round of a minute or more.
pub async fn nudge_pods(ctx: &Context, pods: &[Arc<Pod>], version: &str) -> Result<(), ApplyError> {
    for pod in pods {
        if pod.annotations().get(ANNOTATION_TENANTS).is_some_and(|known| known == version) {
            continue;
        }
        let api = Api::<Pod>::namespaced(ctx.client.clone(), &pod.namespace().unwrap_or_default());
        let patch = json!({ "metadata": { "annotations": { ANNOTATION_TENANTS: version } } });
        match api
            .patch_metadata(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
        {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(source) => {
                let (kind, name) = ("pods".to_owned(), pod.name_any());
                return Err(ApplyError::Api {
                    verb: "annotate",
                    kind,
                    name,
                    source: Box::new(source),
                });
            }
        }
    }
    Ok(())
}

/// Annotation on pods: the tenant table that they should use.
const ANNOTATION_TENANTS: &str = "realm.querent.io/tenants-version";

/// Creates a Secret unless one of its name exists; an existing one is never changed, so a generated key never rotates.
pub async fn create_secret_once(
    ctx: &Context,
    owner: &Owner,
    secret: &Secret,
) -> Result<Secret, ApplyError> {
    let (api, name, kind) =
        (namespaced::<Secret>(ctx, owner), secret.name_any(), "secrets".to_owned());
    let params = kube::api::PostParams {
        field_manager: Some(names::FIELD_MANAGER.to_owned()),
        dry_run: false,
    };
    match api.create(&params, secret).await {
        Ok(created) => Ok(created),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let found = api.get(&name).await;
            let found = found.map_err(|source| ApplyError::Api {
                verb: "read",
                kind: kind.clone(),
                name: name.clone(),
                source: Box::new(source),
            })?;
            if owner.owns(found.meta()) { Ok(found) } else { Err(ApplyError::Taken { kind, name }) }
        }
        Err(source) => {
            Err(ApplyError::Api { verb: "create", kind, name, source: Box::new(source) })
        }
    }
}

/// Deletes a generated Secret that is no longer asked for, if it is the owner's.
pub async fn delete_secret(ctx: &Context, owner: &Owner, name: &str) -> Result<(), ApplyError> {
    let api = namespaced::<Secret>(ctx, owner);
    let found = api.get_opt(name).await.map_err(|source| ApplyError::Api {
        verb: "read",
        kind: "secrets".to_owned(),
        name: name.to_owned(),
        source: Box::new(source),
    })?;
    match found {
        Some(secret) if owner.owns(secret.meta()) => delete(&api, &secret).await,
        _ => Ok(()),
    }
}
