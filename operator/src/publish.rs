//! Writes what users see of a reconcile: the status and events. Only where something changed.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use realm_crds::{condition, names};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tracing::warn;

use crate::{api_error::said, context::Context};

/// Longest note of an event, in characters; the API server allows 1024 bytes.
const NOTE_MAX_CHARS: usize = 250;

/// Why a status could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the status of {kind} {name}: {}", said(.source))]
pub struct PublishError {
    kind: String,
    name: String,
    source: kube::Error,
}

/// Whether the object asks to be left alone.
#[must_use]
pub fn is_paused(metadata: &ObjectMeta) -> bool {
    let annotation = metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(names::ANNOTATION_PAUSED));
    annotation.is_some_and(|value| value == "true")
}

/// Writes a status by server-side apply. An object that is gone needs none.
pub async fn status<K>(
    api: &Api<K>,
    name: &str,
    status: &impl Serialize,
) -> Result<(), PublishError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let document =
        json!({ "apiVersion": K::api_version(&()), "kind": K::kind(&()), "status": status });
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    match api.patch_status(name, &params, &Patch::Apply(&document)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => {
            Err(PublishError { kind: K::kind(&()).into_owned(), name: name.to_owned(), source })
        }
    }
}

/// Records an event when Accepted or Ready turned. An event that cannot be written is only logged.
pub async fn conditions_changed<K>(ctx: &Context, object: &K, old: &[Condition], new: &[Condition])
where
    K: Resource<DynamicType = ()>,
{
    for kind in [condition::ACCEPTED, condition::READY] {
        let find =
            |list: &[Condition]| list.iter().find(|condition| condition.type_ == kind).cloned();
        let (before, Some(now)) = (find(old), find(new)) else { continue };
        let turned = before.as_ref().is_none_or(|before| before.status != now.status);
        let first_no = before.is_none() && kind == condition::READY && now.status != "True";
        if !turned || first_no {
            continue;
        }
        let event = Event {
            type_: if now.status == "True" { EventType::Normal } else { EventType::Warning },
            reason: now.reason.clone(),
            note: Some(
                format!("{kind} is {}: {}", now.status, now.message)
                    .chars()
                    .take(NOTE_MAX_CHARS)
                    .collect(),
            ),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = ctx.recorder.publish(&event, &object.object_ref(&())).await {
            warn!(%error, reason = event.reason, "event could not be written");
        }
    }
}
