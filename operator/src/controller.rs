//! Runs both controllers over the caches until told to stop.

use std::{fmt::Display, future::Future, hash::Hash, sync::Arc, time::Instant};

use futures::{Stream, StreamExt, channel::mpsc, stream};
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::ObjectRef,
        watcher,
    },
};
use realm_crds::{RealmModel, RealmTenant};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{caches::Changes, capabilities::Capabilities, context::Context, model, tenant};

/// Reconciles of one kind at the same time.
const CONCURRENCY: u16 = 16;
/// Changes to one object within this time become one reconcile.
const DEBOUNCE: std::time::Duration = std::time::Duration::from_millis(200);

/// Runs until `stop`, then lets reconciles that have begun finish.
pub async fn run(ctx: Arc<Context>, changes: Changes, stop: CancellationToken) {
    let Changes { models, tenants } = changes;
    let models = controller::<RealmModel, _, _>(
        &ctx,
        model::KIND,
        models,
        stop.clone(),
        |object, ctx| async move {
            Box::pin(model::reconcile(object, ctx))
                .await
                .map_err(|error| (error.label(), error.to_string()))
        },
    );
    let tenants = controller::<RealmTenant, _, _>(
        &ctx,
        tenant::KIND,
        tenants,
        stop,
        |object, ctx| async move {
            Box::pin(tenant::reconcile(object, ctx))
                .await
                .map_err(|error| (error.label(), error.to_string()))
        },
    );
    futures::join!(models, tenants);
}

/// A failure: its label for metrics, and its text.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Failure {
    text: String,
}

async fn controller<K, Reconcile, Reconciled>(
    ctx: &Arc<Context>,
    kind: &'static str,
    changes: mpsc::Receiver<ObjectRef<K>>,
    stop: CancellationToken,
    reconcile: Reconcile,
) where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
    K::DynamicType: Hash + Eq,
    Reconcile: Fn(Arc<K>, Arc<Context>) -> Reconciled + Send + Sync + 'static,
    Reconciled: Future<Output = Result<Action, (&'static str, String)>> + Send + 'static,
{
    let reconcile = Arc::new(reconcile);
    let api = Api::<K>::all(ctx.client.clone());
    Controller::new(api, watcher::Config::default())
        .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .reconcile_on(changes)
        .reconcile_all_on(capability_changes(ctx.capabilities.clone()))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(
            move |object: Arc<K>, ctx: Arc<Context>| {
                let reconcile = reconcile.clone();
                async move { measured(kind, object, ctx, &*reconcile).await }
            },
            move |object, error, ctx| retry(kind, &*object, error, &ctx),
            ctx.clone(),
        )
        .for_each(|result| {
            if let Err(error) = result {
                debug!(kind, %error, "a reconcile ended with an error");
            }
            futures::future::ready(())
        })
        .await;
}

/// Runs one reconcile and counts it.
async fn measured<K, Reconcile, Reconciled>(
    kind: &'static str,
    object: Arc<K>,
    ctx: Arc<Context>,
    reconcile: &Reconcile,
) -> Result<Action, Failure>
where
    K: Resource<DynamicType = ()>,
    Reconcile: Fn(Arc<K>, Arc<Context>) -> Reconciled,
    Reconciled: Future<Output = Result<Action, (&'static str, String)>>,
{
    let (start, key) = (Instant::now(), key(&*object));
    let result = reconcile(object, ctx.clone()).await;
    let outcome = result.as_ref().err().map_or("success", |(label, _)| *label);
    ctx.metrics.reconciled(kind, outcome, start.elapsed());
    if result.is_ok() {
        ctx.retries.reset(&(kind, key));
    }
    result.map_err(|(_, text)| Failure { text })
}

fn retry<K: Resource<DynamicType = ()>>(
    kind: &'static str,
    object: &K,
    error: &impl Display,
    ctx: &Context,
) -> Action {
    let (namespace, name) = key(object);
    let delay = ctx.retries.next((kind, (namespace.clone(), name.clone())));
    warn!(kind, namespace, name, %error, retry_in_seconds = delay.as_secs_f64(), "reconcile failed");
    Action::requeue(delay)
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// One item for each change after the present value.
fn capability_changes(
    receiver: watch::Receiver<Capabilities>,
) -> impl Stream<Item = ()> + Send + 'static {
    stream::unfold(receiver, |mut receiver| async move {
        receiver.changed().await.ok()?;
        Some(((), receiver))
    })
}
