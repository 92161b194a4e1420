//! Reconciles a RealmModel in five steps: dereference, validate, build, apply, status. No logic of its own.

pub mod build;
pub mod dereference;
pub mod status;
pub mod validate;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Api, ResourceExt, runtime::controller::Action};
use realm_crds::{RealmModel, RealmModelStatus, condition};

use self::{
    build::BuildError,
    dereference::DereferenceError,
    status::{Next, Observed},
    validate::ValidatedModel,
};
use crate::{
    apply::{self, ApplyError},
    context::Context,
    health::PodReport,
    programmed::{IdlePrograms, Key, ProgrammedModel},
    publish::{self, PublishError},
};

/// Kind in metrics and events.
pub const KIND: &str = "RealmModel";
/// Slow look at everything, in case an event was lost.
const RESYNC: Duration = Duration::from_mins(30);
/// Look at Secrets that users made: they are not watched, so a key that changes in place is noticed this much later.
const SECRETS_RESYNC: Duration = Duration::from_mins(1);

/// Why a reconcile failed and will be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Reading references failed.
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// Building children failed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Writing children failed.
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
            Self::Dereference(_) => "dereference_failed",
            Self::Build(_) => "build_failed",
            Self::Apply(_) => "apply_failed",
            Self::Publish(_) => "status_failed",
        }
    }
}

/// Makes the cluster match one RealmModel.
pub async fn reconcile(
    model: Arc<RealmModel>,
    ctx: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let key = (model.namespace().unwrap_or_default(), model.name_any());
    if model.metadata.deletion_timestamp.is_some() || publish::is_paused(&model.metadata) {
        return Ok(Action::await_change());
    }
    let fetched = dereference::dereference(&model, &ctx).await?;
    let validated = match validate::validate(&model, &fetched) {
        Ok(validated) => validated,
        Err(error) => {
            let status =
                status::refused(&model, &error, fetched.deployment.as_deref(), Timestamp::now());
            ctx.programmed.set(key, &ProgrammedModel::default());
            write_status(&ctx, &model, status).await?;
            return Ok(Action::await_change());
        }
    };
    let prepared = build::build(&validated, &ctx.settings, fetched.capabilities)?;
    let applied = match Box::pin(apply::apply(
        &ctx,
        &validated.owner,
        prepared,
        fetched.capabilities,
    ))
    .await
    {
        Ok(applied) => applied,
        Err(error) => {
            let deployment = fetched.deployment.as_deref();
            let status =
                status::not_programmed(&model, &error.to_string(), deployment, Timestamp::now());
            write_status(&ctx, &model, status).await?;
            return Err(error.into());
        }
    };
    let reports = ctx.health.ask(dereference::pods(&ctx, &key.0, &key.1)).await;
    apply::nudge_pods(&ctx, &behind(&reports, &validated), &validated.tenants.version).await?;
    let old = model.status.clone().unwrap_or_default();
    let (status, next) = status::observe(&Observed {
        model: &validated,
        applied: &applied,
        reports: &reports,
        capabilities: fetched.capabilities,
        old: &old,
        now: Timestamp::now(),
    });
    let idle = idle_programs(&key.0, &reports);
    let next = next.with_programs(idle.is_empty());
    remember(&ctx, &key, &validated, &status, idle);
    write_status(&ctx, &model, status).await?;
    Ok(action(&ctx, key, next, &fetched.tenants))
}

/// Pods that answer with an older tenant table.
fn behind(
    reports: &[PodReport],
    model: &ValidatedModel,
) -> Vec<Arc<k8s_openapi::api::core::v1::Pod>> {
    let old = |report: &&PodReport| {
        report.health.as_ref().is_ok_and(|health| health.tenants_version != model.tenants.version)
            && report.pod.metadata.deletion_timestamp.is_none()
    };
    reports.iter().filter(old).map(|report| report.pod.clone()).collect()
}

/// Programs that do not run in the pods that stay.
fn idle_programs(namespace: &str, reports: &[PodReport]) -> IdlePrograms {
    let staying = reports.iter().filter(|report| report.pod.metadata.deletion_timestamp.is_none());
    IdlePrograms::gather(namespace, staying.filter_map(|report| report.health.as_ref().ok()))
}

/// Leaves a note for the tenants' reconciles.
fn remember(
    ctx: &Context,
    key: &Key,
    model: &ValidatedModel,
    status: &RealmModelStatus,
    idle: IdlePrograms,
) {
    let programmed = ProgrammedModel {
        idle,
        version: model.tenants.version.clone(),
        tenants: model.tenants.tenants.clone(),
        served: status.served_tenants_version.clone(),
    };
    if ctx.programmed.set(key.clone(), &programmed) {
        ctx.caches.wake_tenants_of(&key.0, &key.1);
    }
}

async fn write_status(
    ctx: &Context,
    model: &RealmModel,
    status: RealmModelStatus,
) -> Result<(), PublishError> {
    let old = model.status.clone().unwrap_or_default();
    if status == old {
        return Ok(());
    }
    let was_served = old.served_generation.is_some();
    publish::conditions_changed(ctx, model, &old.conditions, &status.conditions).await;
    if !was_served && condition::holds(&status.conditions, condition::READY) {
        let since = model
            .creation_timestamp()
            .map(|time| Timestamp::now().duration_since(time.0).as_secs_f64());
        ctx.metrics.first_ready(KIND, since.unwrap_or_default());
    }
    let api =
        Api::<RealmModel>::namespaced(ctx.client.clone(), &model.namespace().unwrap_or_default());
    publish::status(&api, &model.name_any(), &status).await
}

fn action(ctx: &Context, key: Key, next: Next, tenants: &[realm_crds::RealmTenant]) -> Action {
    let given = tenants
        .iter()
        .any(|tenant| tenant.spec.api_keys.iter().any(|key| key.secret_key_ref.is_some()));
    let slow = if given { SECRETS_RESYNC } else { RESYNC };
    match next {
        Next::AskPods => Action::requeue(ctx.polls.next((KIND, key))),
        Next::AwaitPods | Next::Settled => {
            ctx.polls.reset(&(KIND, key));
            Action::requeue(slow)
        }
    }
}
