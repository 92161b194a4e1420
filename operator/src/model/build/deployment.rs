//! Deployment: how many pods, and how they are replaced. What is in a pod is in `pod.rs`.

use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use realm_crds::realm_model::{AccessMode, CacheMode};

use super::pod;
use crate::{model::validate::ValidatedModel, resources::pod_selector, settings::PodSettings};

/// Old ReplicaSets that are kept. The RealmModel is the history; one lets `kubectl rollout` explain what happened.
const HISTORY: i32 = 1;
/// Time after which a rollout that does not move is reported. Large files take long to download.
const PROGRESS_DEADLINE_SECONDS: i32 = 3600;

pub(super) fn build(
    model: &ValidatedModel,
    settings: &PodSettings,
    config_name: &str,
) -> Deployment {
    Deployment {
        metadata: model.owner.child(&model.name),
        spec: DeploymentSpec {
            replicas: Some(model.wanted_replicas()),
            revision_history_limit: Some(HISTORY),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE_SECONDS),
            selector: LabelSelector {
                match_labels: Some(pod_selector(&model.name)),
                match_expressions: None,
            },
            strategy: Some(strategy(model)),
            template: pod::template(model, settings, config_name),
            ..DeploymentSpec::default()
        },
        status: None,
    }
}

/// A claim that one node holds cannot be mounted by the new pod on another node while the old one lives: then the old
/// pod drains first.
fn strategy(model: &ValidatedModel) -> DeploymentStrategy {
    let (cache, rollout) = (&model.spec.cache, &model.spec.rollout);
    let downloads = model.engine.source.mounted_file().is_none();
    if downloads && cache.mode == CacheMode::Pvc && cache.access_mode == AccessMode::ReadWriteOnce {
        return DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
    }
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(rollout.max_surge)),
            max_unavailable: Some(IntOrString::Int(rollout.max_unavailable)),
        }),
    }
}
