//! Watches whether optional kinds exist, so that installing or removing them needs no restart.

use std::sync::PoisonError;

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    caches::{Caches, Watches},
    capabilities::{Capabilities, SERVICE_MONITOR_CRD},
    metrics::Metrics,
};

/// Starts the watch; the first value is there before this returns.
pub async fn start(
    client: Client,
    watches: Watches,
    caches: Caches,
    metrics: Metrics,
    stop: CancellationToken,
) -> watch::Receiver<Capabilities> {
    let (sender, mut receiver) = watch::channel(None);
    tokio::spawn(follow(client, watches, caches, metrics, stop, sender));
    let first = match receiver.wait_for(Option::is_some).await {
        Ok(value) => value.unwrap_or_default(),
        Err(_) => Capabilities::default(),
    };
    known(receiver, first)
}

/// The same values without the time before the first one.
fn known(
    mut from: watch::Receiver<Option<Capabilities>>,
    first: Capabilities,
) -> watch::Receiver<Capabilities> {
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        while from.changed().await.is_ok() {
            let value = from.borrow_and_update().unwrap_or_default();
            sender.send_if_modified(|current| std::mem::replace(current, value) != value);
        }
    });
    receiver
}

async fn follow(
    client: Client,
    watches: Watches,
    caches: Caches,
    metrics: Metrics,
    stop: CancellationToken,
    sender: watch::Sender<Option<Capabilities>>,
) {
    let config = watcher::Config::default().fields(&format!("metadata.name={SERVICE_MONITOR_CRD}"));
    let api = Api::<PartialObjectMeta<CustomResourceDefinition>>::all(client);
    let events = watcher(api, config).default_backoff().take_until(stop.cancelled());
    let mut events = std::pin::pin!(events);
    let mut found = false;
    let mut monitors: Option<CancellationToken> = None;
    while let Some(event) = events.next().await {
        match &event {
            Ok(watcher::Event::Init | watcher::Event::Delete(_)) => found = false,
            Ok(watcher::Event::InitApply(crd)) => found = crd.name_any() == SERVICE_MONITOR_CRD,
            Ok(watcher::Event::Apply(_)) => found = true,
            Ok(watcher::Event::InitDone) => {}
            Err(error) => {
                metrics.watch_failed("customresourcedefinitions", error);
                continue;
            }
        }
        if matches!(event, Ok(watcher::Event::Init | watcher::Event::InitApply(_))) {
            continue;
        }
        if found && monitors.is_none() {
            let child = stop.child_token();
            let store = watches.service_monitors(child.clone());
            *caches.service_monitors.write().unwrap_or_else(PoisonError::into_inner) = Some(store);
            monitors = Some(child);
        } else if !found && let Some(child) = monitors.take() {
            child.cancel();
            *caches.service_monitors.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        sender.send_replace(Some(Capabilities { service_monitor: found }));
    }
}
