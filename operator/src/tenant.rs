//! Reconciles a RealmTenant: makes its generated API keys, and reports whether its keys work at its models.
//!
//! The tables that the pods read are children of the models, so `model` writes them; this reads what became of them.

pub mod build;
pub mod status;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt, runtime::controller::Action, runtime::reflector::ObjectRef,
};
use realm_crds::{
    RealmTenant, RealmTenantStatus, condition,
    resolve::{KeyHashes, KeyRef},
};

use self::{
    build::BuildError,
    status::{ModelFacts, Observed},
};
use crate::{
    apply::{self, ApplyError},
    context::Context,
    model::dereference::{DereferenceError, read_hashes},
    publish::{self, PublishError},
    resources::Owner,
};

/// Kind in metrics and events.
pub const KIND: &str = "RealmTenant";
/// Slow look at everything, in case an event was lost.
const RESYNC: Duration = Duration::from_mins(30);
/// Look at Secrets that users made, which are not watched.
const SECRETS_RESYNC: Duration = Duration::from_mins(1);

/// Why a reconcile failed and will be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server gave an object without identity.
    #[error("the object has no name, namespace or uid")]
    NoIdentity,
    /// Reading Secrets failed.
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// Making a key failed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Writing a Secret failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Writing the status failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl ReconcileError {
    /// Label of metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoIdentity => "no_identity",
            Self::Dereference(_) => "dereference_failed",
            Self::Build(_) => "build_failed",
            Self::Apply(_) => "apply_failed",
            Self::Publish(_) => "status_failed",
        }
    }
}

/// Makes the cluster match one RealmTenant.
pub async fn reconcile(
    tenant: Arc<RealmTenant>,
    ctx: Arc<Context>,
) -> Result<Action, ReconcileError> {
    if tenant.metadata.deletion_timestamp.is_some() || publish::is_paused(&tenant.metadata) {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    if let Err(error) = tenant.validate() {
        write_status(&ctx, &tenant, status::refused(&tenant, &error, now)).await?;
        return Ok(Action::await_change());
    }
    let namespace = tenant.namespace().ok_or(ReconcileError::NoIdentity)?;
    let owner = Owner::tenant(
        &namespace,
        tenant.controller_owner_ref(&()).ok_or(ReconcileError::NoIdentity)?,
    );
    let mut hashes = read_hashes(&ctx, places(&namespace, &tenant)).await?;
    generate_missing(&ctx, &owner, &tenant, &mut hashes).await?;
    forget_removed(&ctx, &owner, &tenant).await?;
    let Some(models) = models(&ctx, &namespace, &tenant) else {
        return Ok(Action::requeue(ctx.polls.next((KIND, (namespace, tenant.name_any())))));
    };
    let status = status::observe(&Observed {
        tenant: &tenant,
        namespace: &namespace,
        hashes: &hashes,
        models: &models,
        now,
    });
    let ready = condition::holds(&status.conditions, condition::READY);
    write_status(&ctx, &tenant, status).await?;
    ctx.polls.reset(&(KIND, (namespace, tenant.name_any())));
    let given = tenant.spec.api_keys.iter().any(|key| key.secret_key_ref.is_some());
    Ok(Action::requeue(if given || !ready { SECRETS_RESYNC } else { RESYNC }))
}

fn places(namespace: &str, tenant: &RealmTenant) -> Vec<KeyRef> {
    let name = tenant.name_any();
    let place = |key: &realm_crds::realm_tenant::ApiKey| KeyRef {
        namespace: namespace.to_owned(),
        secret: key.secret(&name),
    };
    tenant.spec.api_keys.iter().map(place).collect()
}

/// Creates the Secrets of generated keys that do not exist.
async fn generate_missing(
    ctx: &Context,
    owner: &Owner,
    tenant: &RealmTenant,
    hashes: &mut KeyHashes,
) -> Result<(), ReconcileError> {
    let mut created = Vec::new();
    for key in tenant.spec.api_keys.iter().filter(|key| key.generate) {
        let place = KeyRef {
            namespace: owner.namespace.clone(),
            secret: key.secret(&owner.reference.name),
        };
        if !hashes.contains_key(&place) {
            apply::create_secret_once(ctx, owner, &build::api_key_secret(owner, &place.secret)?)
                .await?;
            created.push(place);
        }
    }
    if created.is_empty() {
        return Ok(());
    }
    hashes.extend(read_hashes(ctx, created).await?);
    let models = tenant.spec.models.iter().map(|model| model.name.as_str());
    ctx.caches.wake_models(&owner.namespace, models);
    Ok(())
}

/// Deletes the Secrets of generated keys that the spec no longer lists.
async fn forget_removed(
    ctx: &Context,
    owner: &Owner,
    tenant: &RealmTenant,
) -> Result<(), ReconcileError> {
    let wanted: Vec<String> =
        tenant.spec.api_keys.iter().map(|key| key.secret(&owner.reference.name).name).collect();
    let known = tenant.status.iter().flat_map(|status| &status.keys);
    for key in known.filter(|key| key.generated && !wanted.contains(&key.secret)) {
        apply::delete_secret(ctx, owner, &key.secret).await?;
    }
    Ok(())
}

/// What is known about each model; `None` while a model that exists was not reconciled since the start.
fn models(
    ctx: &Context,
    namespace: &str,
    tenant: &RealmTenant,
) -> Option<BTreeMap<String, ModelFacts>> {
    let facts = |name: &String| {
        let exists = ctx.caches.models.get(&ObjectRef::new(name).within(namespace)).is_some();
        let programmed = ctx.programmed.get(&(namespace.to_owned(), name.clone()));
        match (exists, programmed) {
            (false, _) => Some(ModelFacts::Missing),
            (true, Some(programmed)) => Some(ModelFacts::Programmed(programmed)),
            (true, None) => None,
        }
    };
    tenant.spec.models.iter().map(|model| Some((model.name.clone(), facts(&model.name)?))).collect()
}

async fn write_status(
    ctx: &Context,
    tenant: &RealmTenant,
    status: RealmTenantStatus,
) -> Result<(), PublishError> {
    let old = tenant.status.clone().unwrap_or_default();
    if status == old {
        return Ok(());
    }
    publish::conditions_changed(ctx, tenant, &old.conditions, &status.conditions).await;
    let api =
        Api::<RealmTenant>::namespaced(ctx.client.clone(), &tenant.namespace().unwrap_or_default());
    publish::status(&api, &tenant.name_any(), &status).await
}
