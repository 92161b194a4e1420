//! The verdict of each condition of a RealmModel. Pure.

use k8s_openapi::api::apps::v1::DeploymentStatus;
use realm_crds::{
    ArtifactSource,
    condition::{self, Truth, Verdict},
    realm_model::Switch,
    resolve::KeyProblem,
};

use super::{observed::Observed, pods::PodFacts};
use crate::model::validate::ValidatedModel;

/// All verdicts, in the order in which people read them.
pub(super) fn verdicts(
    observed: &Observed<'_>,
    facts: &PodFacts<'_>,
    counts: &DeploymentStatus,
    converged: bool,
) -> Vec<Verdict> {
    vec![
        accepted(observed.model),
        Verdict::new(condition::PROGRAMMED, true, "Applied", "every child object was applied"),
        artifact_ready(facts),
        available(counts),
        progressing(facts, counts, converged),
        ready(observed.model, facts, counts, converged),
        monitoring_ready(observed),
    ]
}

fn accepted(model: &ValidatedModel) -> Verdict {
    let mut notes = vec!["the spec can be used".to_owned()];
    if let ArtifactSource::HuggingFace(hub) = &model.engine.source
        && hub.sha256.is_none()
        && !is_commit(&hub.revision)
    {
        notes.push(format!(
            "revision {} can move: set source.huggingFace.revision to a commit, or sha256, to pin the file",
            hub.revision
        ));
    }
    notes.extend(model.key_problems.iter().map(|problem| match problem {
        KeyProblem::Missing { tenant, key, place } => {
            format!(
                "key {key} of tenant {tenant} is left out: Secret {} has no usable {}",
                place.secret.name, place.secret.key
            )
        }
        KeyProblem::Shared { tenant, key, holder } => {
            format!("key {key} of tenant {tenant} is left out: tenant {holder} has the same key")
        }
    }));
    Verdict::new(condition::ACCEPTED, true, "Accepted", notes.join("; "))
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn artifact_ready(facts: &PodFacts<'_>) -> Verdict {
    let kind = condition::ARTIFACT_READY;
    if let Some(health) = facts.health {
        return Verdict::new(
            kind,
            true,
            "Reported",
            format!("pods report sha256 {}", health.digest),
        );
    }
    if facts.wanted == 0 {
        return Verdict::new(
            kind,
            Truth::Unknown,
            "NoPods",
            "no pod is wanted, so none reports a file",
        );
    }
    match &facts.trouble {
        Some(trouble) => Verdict::new(kind, false, trouble.reason, &trouble.message),
        None => Verdict::new(kind, false, "Waiting", "no pod of the newest generation exists yet"),
    }
}

/// Stays true through rollouts: it is about answering, not about which generation answers.
pub(super) fn available(counts: &DeploymentStatus) -> Verdict {
    let pods = counts.available_replicas.unwrap_or_default();
    let reason = if pods > 0 { "PodsAvailable" } else { "NoPodAvailable" };
    Verdict::new(condition::AVAILABLE, pods > 0, reason, format!("{pods} pods answer requests"))
}

fn progressing(facts: &PodFacts<'_>, counts: &DeploymentStatus, converged: bool) -> Verdict {
    let kind = condition::PROGRESSING;
    if converged {
        return Verdict::new(kind, false, "Stable", "there is nothing left to do");
    }
    if let Some(message) = deadline_exceeded(counts) {
        return Verdict::new(kind, false, "DeadlineExceeded", message);
    }
    let message = format!("{} of {} pods serve the newest generation", facts.serving, facts.wanted);
    Verdict::new(kind, true, "RollingOut", message)
}

/// What the Deployment's controller said when it gave up on a rollout.
fn deadline_exceeded(counts: &DeploymentStatus) -> Option<&str> {
    let progressing = counts
        .conditions
        .iter()
        .flatten()
        .find(|row| row.type_.as_deref() == Some("Progressing"))?;
    (progressing.status.as_deref() == Some("False"))
        .then(|| progressing.message.as_deref().unwrap_or("the rollout does not move"))
}

fn ready(
    model: &ValidatedModel,
    facts: &PodFacts<'_>,
    counts: &DeploymentStatus,
    converged: bool,
) -> Verdict {
    let kind = condition::READY;
    if model.spec.suspend {
        return Verdict::new(
            kind,
            false,
            "Suspended",
            "spec.suspend is true: set it to false to serve again",
        );
    }
    if facts.wanted == 0 {
        return Verdict::new(
            kind,
            false,
            "ScaledToZero",
            "spec.replicas is 0: set it to 1 or more to serve",
        );
    }
    if converged {
        let message = format!("{} pods serve generation {}", facts.serving, model.generation);
        return Verdict::new(kind, true, "Serving", message);
    }
    if let Some(trouble) = &facts.trouble {
        return Verdict::new(kind, false, trouble.reason, &trouble.message);
    }
    let exist = counts.replicas.unwrap_or_default();
    let message = format!(
        "{} of {} pods serve the newest generation, {exist} exist",
        facts.serving, facts.wanted
    );
    Verdict::new(kind, false, "RollingOut", message)
}

fn monitoring_ready(observed: &Observed<'_>) -> Verdict {
    let kind = condition::MONITORING_READY;
    let missing = "the cluster does not know the kind ServiceMonitor: install the Prometheus operator, or set observability.serviceMonitor to Never";
    match (
        observed.model.spec.observability.service_monitor,
        observed.applied.service_monitor.is_some(),
    ) {
        (Switch::Never, _) => {
            Verdict::new(kind, true, "Disabled", "observability.serviceMonitor is Never")
        }
        (_, true) => Verdict::new(kind, true, "Applied", "the ServiceMonitor was applied"),
        (Switch::Auto, false) => Verdict::new(kind, Truth::Unknown, "CrdMissing", missing),
        (Switch::Always, false) => Verdict::new(kind, false, "CrdMissing", missing),
    }
}
