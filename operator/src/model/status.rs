//! Fifth step: from what was applied and what the pods report to the status. Pure; nothing here is intention.

mod conditions;
mod observed;
mod pods;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use realm_crds::{
    RealmModel, RealmModelStatus,
    condition::{self, Verdict},
    realm_model::{Artifact, ManagedObject, ManagedState, Switch},
};

pub use self::observed::Observed;
use self::pods::PodFacts;
use crate::{
    model::validate::{ValidateError, ValidatedModel},
    resources::{claim, dashboard, pod_selector},
};

/// What is there to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: every wanted pod reports what was asked for.
    Settled,
    /// Pods run that do not yet report it; no event of the API server will say when they do.
    AskPods,
    /// Pods that do not run yet; their events will come.
    AwaitPods,
}

impl Next {
    /// The same, but that programs on their way are asked for as well.
    #[must_use]
    pub fn with_programs(self, all_run: bool) -> Self {
        match self {
            Self::Settled if !all_run => Self::AskPods,
            next => next,
        }
    }
}

/// The status, and what to wait for.
#[must_use]
pub fn observe(observed: &Observed<'_>) -> (RealmModelStatus, Next) {
    let Observed { model, applied, old, .. } = observed;
    let facts = PodFacts::gather(model, observed.reports);
    let counts = applied.deployment.status.clone().unwrap_or_default();
    let converged = facts.converged() && rolled_out(&applied.deployment, model.wanted_replicas());
    let tenants_served = converged && facts.tenants_version_everywhere(&model.tenants.version);
    let empty = facts.alive == 0;
    let verdicts = conditions::verdicts(observed, &facts, &counts, converged);
    let keep =
        |new: Option<String>, old: &Option<String>| new.or_else(|| old.clone().filter(|_| !empty));
    let status = RealmModelStatus {
        observed_generation: Some(model.generation),
        served_name: Some(model.engine.served_name.clone()),
        artifact: facts.health.map(artifact).or_else(|| old.artifact.clone()),
        replicas: counts.replicas.unwrap_or_default(),
        ready_replicas: counts.ready_replicas.unwrap_or_default(),
        updated_replicas: counts.updated_replicas.unwrap_or_default(),
        available_replicas: counts.available_replicas.unwrap_or_default(),
        serving: Some(format!("{}/{}", facts.serving, facts.wanted)),
        selector: Some(selector(&model.name)),
        endpoint: Some(endpoint(model)),
        served_generation: if converged && !empty {
            Some(model.generation)
        } else {
            old.served_generation.filter(|_| !empty)
        },
        served_digest: keep(facts.digest.clone().filter(|_| converged), &old.served_digest),
        tenants: model.tenants.tenants.len() as i32,
        tenants_version: Some(model.tenants.version.clone()),
        served_tenants_version: keep(
            tenants_served.then(|| model.tenants.version.clone()),
            &old.served_tenants_version,
        ),
        managed: managed(observed),
        conditions: condition::merge(
            &old.conditions,
            verdicts,
            Some(model.generation),
            observed.now,
        ),
    };
    let next = match (converged && (tenants_served || empty), facts.running) {
        (true, _) => Next::Settled,
        (false, true) => Next::AskPods,
        (false, false) => Next::AwaitPods,
    };
    (status, next)
}

/// The status of a model whose spec cannot be used: the old pods go on, and are still counted.
#[must_use]
pub fn refused(
    model: &RealmModel,
    error: &ValidateError,
    deployment: Option<&Deployment>,
    now: Timestamp,
) -> RealmModelStatus {
    let why = error.to_string();
    let verdicts = vec![
        Verdict::new(condition::ACCEPTED, false, "InvalidSpec", &why),
        Verdict::new(
            condition::PROGRAMMED,
            false,
            "NotAccepted",
            "the spec was not accepted, nothing was applied",
        ),
        Verdict::new(condition::READY, false, "NotAccepted", &why),
    ];
    failed(model, verdicts, deployment, now)
}

/// The status of a model whose children could not all be written.
#[must_use]
pub fn not_programmed(
    model: &RealmModel,
    error: &str,
    deployment: Option<&Deployment>,
    now: Timestamp,
) -> RealmModelStatus {
    let verdicts = vec![
        Verdict::new(condition::ACCEPTED, true, "Accepted", "the spec can be used"),
        Verdict::new(condition::PROGRAMMED, false, "ApplyFailed", error),
        Verdict::new(condition::READY, false, "NotProgrammed", error),
    ];
    failed(model, verdicts, deployment, now)
}

fn failed(
    model: &RealmModel,
    mut verdicts: Vec<Verdict>,
    deployment: Option<&Deployment>,
    now: Timestamp,
) -> RealmModelStatus {
    let old = model.status.clone().unwrap_or_default();
    let counts = deployment.and_then(|deployment| deployment.status.clone()).unwrap_or_default();
    verdicts.push(conditions::available(&counts));
    let conditions = condition::merge(&old.conditions, verdicts, model.metadata.generation, now);
    let untouched = old
        .conditions
        .iter()
        .filter(|known| conditions.iter().all(|new| new.type_ != known.type_))
        .cloned();
    let conditions = conditions.iter().cloned().chain(untouched).collect();
    RealmModelStatus {
        observed_generation: model.metadata.generation,
        replicas: counts.replicas.unwrap_or_default(),
        ready_replicas: counts.ready_replicas.unwrap_or_default(),
        updated_replicas: counts.updated_replicas.unwrap_or_default(),
        available_replicas: counts.available_replicas.unwrap_or_default(),
        conditions,
        ..old
    }
}

/// Whether the Deployment's controller has seen the newest template and replaced every pod.
fn rolled_out(deployment: &Deployment, wanted: i32) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    status.observed_generation.unwrap_or_default()
        >= deployment.metadata.generation.unwrap_or_default()
        && status.updated_replicas.unwrap_or_default() == wanted
        && status.available_replicas.unwrap_or_default() == wanted
        && status.replicas.unwrap_or_default() == wanted
}

fn artifact(health: &crate::health::Health) -> Artifact {
    Artifact {
        digest: health.digest.clone(),
        bytes: health.file_bytes,
        size: human_bytes(health.file_bytes),
        quantization: health.quantization.clone(),
        parameters: health.parameters,
        context_length: health.context_length,
    }
}

/// Bytes for people, in binary units with one digit.
fn human_bytes(bytes: i64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

fn selector(model: &str) -> String {
    let labels = pod_selector(model);
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn endpoint(model: &ValidatedModel) -> String {
    let host = format!("{}.{}.svc", model.name, model.owner.namespace);
    match model.spec.exposure.service.port {
        80 => format!("http://{host}/v1"),
        port => format!("http://{host}:{port}/v1"),
    }
}

fn managed(observed: &Observed<'_>) -> Vec<ManagedObject> {
    let Observed { model, applied, capabilities, .. } = observed;
    let row =
        |kind: &str, name: String, state| ManagedObject { kind: kind.to_owned(), name, state };
    let done = |kind: &str, name: String| row(kind, name, ManagedState::Applied);
    let mut rows = vec![
        done("ServiceAccount", applied.service_account.name_any()),
        done("ConfigMap", applied.engine_config.name_any()),
        done("Secret", applied.tenants.name_any()),
        done("Deployment", applied.deployment.name_any()),
        done("Service", applied.service.name_any()),
        done("Service", applied.metrics_service.name_any()),
    ];
    if applied.claim.is_some() {
        rows.push(done("PersistentVolumeClaim", claim(&model.name)));
    }
    let state =
        if applied.dashboard.is_some() { ManagedState::Applied } else { ManagedState::Disabled };
    rows.push(row("ConfigMap", dashboard(&model.name), state));
    let state = if model.spec.observability.service_monitor == Switch::Never {
        ManagedState::Disabled
    } else if capabilities.service_monitor && applied.service_monitor.is_some() {
        ManagedState::Applied
    } else {
        ManagedState::CrdMissing
    };
    rows.push(row("ServiceMonitor", model.name.clone(), state));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        for (bytes, text) in [
            (98_362_432, "93.8 MiB"),
            (1024, "1.0 KiB"),
            (5 << 40, "5.0 TiB"),
            (3 << 30, "3.0 GiB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
