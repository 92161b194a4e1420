//! Facts about a model's pods: who serves what, and what holds the others up. Pure.

use std::cmp::Reverse;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use realm_crds::names;

use crate::{
    health::{Health, PodReport},
    model::validate::ValidatedModel,
    resources::DOWNLOAD_CONTAINER,
};

/// Longest part of a container's last words that a condition repeats, in characters.
const WORDS_MAX_CHARS: usize = 400;

/// Why a pod does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Machine-readable cause.
    pub(super) reason: &'static str,
    /// What is known about it.
    pub(super) message: String,
}

/// Facts about a model's pods.
#[derive(Debug, Default)]
pub(super) struct PodFacts<'a> {
    /// Pods that should run.
    pub(super) wanted: usize,
    /// Pods that are not going away.
    pub(super) alive: usize,
    /// Pods that are ready and report the wanted settings and digest.
    pub(super) serving: usize,
    /// Whether a pod of the newest template runs that is not serving, or whose tenants are old.
    pub(super) running: bool,
    /// The digest that all serving pods report; `None` when they differ or none serves.
    pub(super) digest: Option<String>,
    /// The answer of a serving pod.
    pub(super) health: Option<&'a Health>,
    /// What holds the newest troubled pod up.
    pub(super) trouble: Option<Trouble>,
    tenants_versions: Vec<&'a str>,
}

impl<'a> PodFacts<'a> {
    pub(super) fn gather(model: &ValidatedModel, reports: &'a [PodReport]) -> Self {
        let mut facts = Self {
            wanted: usize::try_from(model.wanted_replicas()).unwrap_or_default(),
            ..Self::default()
        };
        let mut digests = Vec::new();
        for report in newest_first(reports) {
            facts.alive += 1;
            facts.running |= phase(&report.pod) == "Running";
            match serves(model, report) {
                Ok(health) => {
                    facts.serving += 1;
                    facts.health = facts.health.or(Some(health));
                    digests.push(health.digest.as_str());
                    facts.tenants_versions.push(&health.tenants_version);
                }
                Err(trouble) if is_newest(model, &report.pod) => {
                    facts.trouble = facts.trouble.or(Some(trouble));
                }
                Err(_) => {}
            }
        }
        digests.dedup();
        facts.digest = match digests.as_slice() {
            [one] => Some((*one).to_owned()),
            _ => None,
        };
        facts
    }

    /// Whether exactly the wanted pods run, all serve, and all the same file.
    pub(super) fn converged(&self) -> bool {
        self.serving == self.wanted
            && self.alive == self.wanted
            && (self.wanted == 0 || self.digest.is_some())
    }

    pub(super) fn tenants_version_everywhere(&self, version: &str) -> bool {
        self.wanted > 0
            && self.tenants_versions.len() == self.wanted
            && self.tenants_versions.iter().all(|v| *v == version)
    }
}

/// The pod's answer, when it is ready and serves what the newest spec asks for.
fn serves<'a>(model: &ValidatedModel, report: &'a PodReport) -> Result<&'a Health, Trouble> {
    let name = report.pod.name_any();
    if let Some(trouble) = stuck(&report.pod) {
        return Err(trouble);
    }
    let waiting = |message: String| Trouble { reason: "Waiting", message };
    let health = report.health.as_ref().map_err(|error| waiting(format!("pod {name}: {error}")))?;
    if health.status != "ok" {
        let said = if health.message.is_empty() { &health.status } else { &health.message };
        let reason = if health.status == "failed" { "EngineFailed" } else { "Loading" };
        return Err(Trouble { reason, message: format!("pod {name}: {}", shorten(said)) });
    }
    if health.generation != model.engine.generation {
        let (has, wants) = (health.generation, model.engine.generation);
        return Err(waiting(format!("pod {name} serves generation {has}, wanted is {wants}")));
    }
    if health.digest.is_empty()
        || model.engine.digest.as_ref().is_some_and(|wanted| *wanted != health.digest)
    {
        let wanted = model.engine.digest.as_deref().unwrap_or("any");
        let message =
            format!("pod {name} serves a file with sha256 {:?}, wanted is {wanted}", health.digest);
        return Err(Trouble { reason: "DigestMismatch", message });
    }
    if !is_ready(&report.pod) {
        return Err(waiting(format!("pod {name} is not ready yet")));
    }
    Ok(health)
}

/// What the kubelet or the scheduler says about a pod that cannot start.
fn stuck(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let unschedulable = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unschedulable {
        let message = format!(
            "pod {}: {}",
            pod.name_any(),
            shorten(condition.message.as_deref().unwrap_or_default())
        );
        return Some(Trouble { reason: "Unschedulable", message });
    }
    let inits = status.init_container_statuses.iter().flatten();
    inits
        .chain(status.container_statuses.iter().flatten())
        .find_map(|container| container_trouble(pod, container))
}

fn container_trouble(pod: &Pod, container: &ContainerStatus) -> Option<Trouble> {
    let name = pod.name_any();
    let downloads = container.name == DOWNLOAD_CONTAINER;
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let why = waiting.reason.as_deref().unwrap_or_default();
        if matches!(why, "" | "PodInitializing" | "ContainerCreating") {
            return None;
        }
        let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let words = last
            .and_then(|last| last.message.as_deref())
            .or(waiting.message.as_deref())
            .unwrap_or_default();
        let reason = match why {
            "CrashLoopBackOff" if downloads => "DownloadFailed",
            "CrashLoopBackOff" => "EngineFailed",
            _ => "ContainerWaiting",
        };
        return Some(Trouble { reason, message: format!("pod {name}: {why}: {}", shorten(words)) });
    }
    let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    let reason = if downloads { "DownloadFailed" } else { "EngineFailed" };
    let words = shorten(ended.message.as_deref().or(ended.reason.as_deref()).unwrap_or_default());
    Some(Trouble { reason, message: format!("pod {name}: exit code {}: {words}", ended.exit_code) })
}

/// The end of a text, where the error is, on one line.
fn shorten(words: &str) -> String {
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let skip = line.chars().count().saturating_sub(WORDS_MAX_CHARS);
    line.chars().skip(skip).collect()
}

/// Pods that are not going away. A pod of an older template is on its way out: what it says must not hide the newer's.
fn newest_first(reports: &[PodReport]) -> Vec<&PodReport> {
    let mut alive: Vec<&PodReport> =
        reports.iter().filter(|report| is_alive(&report.pod)).collect();
    let created = |report: &PodReport| report.pod.metadata.creation_timestamp.clone();
    alive.sort_by_cached_key(|report| (Reverse(created(report)), report.pod.name_any()));
    alive
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn is_alive(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase(pod), "Failed" | "Succeeded")
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn is_newest(model: &ValidatedModel, pod: &Pod) -> bool {
    pod.annotations().get(names::ANNOTATION_ENGINE_HASH) == Some(&model.engine_hash)
}
