//! From applied children and reports of pods to the status: nothing is ready that did not say so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::DeploymentStatus, core::v1::Pod};
use realm_crds::{RealmModel, RealmModelStatus, condition, names};
use realm_operator::{
    capabilities::Capabilities,
    health::{Health, HealthError, PodReport},
    model::{
        build::build,
        dereference::Fetched,
        status::{Next, Observed, observe},
        validate::{ValidatedModel, validate},
    },
    resources::{Applied, Resources},
    settings::PodSettings,
};
use serde_json::json;

const DIGEST: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn model(replicas: i32) -> ValidatedModel {
    let yaml = format!(
        "{{apiVersion: realm.querent.io/v1alpha1, kind: RealmModel, metadata: {{name: m, namespace: ns, uid: u, generation: 5}}, spec: {{replicas: {replicas}, source: {{http: {{url: 'https://x/a', sha256: {DIGEST}}}}}}}}}"
    );
    validate(&serde_saphyr::from_str::<RealmModel>(&yaml).unwrap(), &Fetched::default()).unwrap()
}

/// The children as the API server returns them when `replicas` pods of the newest template are available.
fn applied(model: &ValidatedModel, replicas: i32) -> Resources<Applied> {
    let settings = PodSettings { engine_image: "engine:1".to_owned(), hf_endpoint: None };
    let built = build(model, &settings, Capabilities::default()).unwrap();
    let mut deployment = built.deployment;
    deployment.metadata.generation = Some(1);
    deployment.status = Some(DeploymentStatus {
        observed_generation: Some(1),
        replicas: Some(replicas),
        updated_replicas: Some(replicas),
        ready_replicas: Some(replicas),
        available_replicas: Some(replicas),
        ..DeploymentStatus::default()
    });
    Resources {
        service_account: built.service_account,
        engine_config: built.engine_config,
        tenants: built.tenants,
        claim: built.claim,
        deployment,
        service: built.service,
        metrics_service: built.metrics_service,
        service_monitor: built.service_monitor,
        dashboard: built.dashboard,
        state: std::marker::PhantomData,
    }
}

fn health(model: &ValidatedModel) -> Health {
    Health {
        status: "ok".to_owned(),
        generation: model.engine.generation,
        digest: DIGEST.to_owned(),
        tenants_version: model.tenants.version.clone(),
        quantization: "Q4_1".to_owned(),
        file_bytes: 98_362_432,
        ..Health::default()
    }
}

fn pod(model: &ValidatedModel, status: &serde_json::Value) -> Arc<Pod> {
    let pod = json!({
        "metadata": {"name": "p", "annotations": {names::ANNOTATION_ENGINE_HASH: model.engine_hash}},
        "status": status,
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn running(model: &ValidatedModel) -> Arc<Pod> {
    pod(model, &json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}))
}

fn status(
    model: &ValidatedModel,
    available: i32,
    reports: &[PodReport],
    old: &RealmModelStatus,
) -> (RealmModelStatus, Next) {
    let applied = applied(model, available);
    let capabilities = Capabilities::default();
    observe(&Observed {
        model,
        applied: &applied,
        reports,
        capabilities,
        old,
        now: Timestamp::UNIX_EPOCH,
    })
}

fn verdict(status: &RealmModelStatus, kind: &str) -> (String, String) {
    let row = status.conditions.iter().find(|row| row.type_ == kind).unwrap();
    (row.status.clone(), row.reason.clone())
}

#[test]
fn ready_when_every_wanted_pod_reports_generation_and_digest() {
    let model = model(1);
    let reports = [PodReport { pod: running(&model), health: Ok(health(&model)) }];
    let (status, next) = status(&model, 1, &reports, &RealmModelStatus::default());
    assert_eq!(next, Next::Settled);
    assert_eq!(verdict(&status, condition::READY), ("True".into(), "Serving".into()));
    assert_eq!(verdict(&status, condition::PROGRESSING), ("False".into(), "Stable".into()));
    assert_eq!(
        verdict(&status, condition::MONITORING_READY),
        ("Unknown".into(), "CrdMissing".into())
    );
    assert_eq!(
        (status.served_generation, status.served_digest.as_deref()),
        (Some(5), Some(DIGEST))
    );
    assert_eq!(
        (status.serving.as_deref(), status.endpoint.as_deref()),
        (Some("1/1"), Some("http://m.ns.svc/v1"))
    );
    assert_eq!(status.artifact.unwrap().size, "93.8 MiB");
}

#[test]
fn not_ready_unless_the_pods_say_so() {
    let model = model(1);
    let ok = health(&model);
    let cases = [
        (Err(HealthError::NoAddress), "Waiting"),
        (Ok(Health { status: "loading".into(), ..ok.clone() }), "Loading"),
        (
            Ok(Health { status: "failed".into(), message: "bad file".into(), ..ok.clone() }),
            "EngineFailed",
        ),
        (Ok(Health { generation: 4, ..ok.clone() }), "Waiting"),
        (Ok(Health { digest: "b".repeat(64), ..ok.clone() }), "DigestMismatch"),
        (Ok(Health { digest: String::new(), ..ok }), "DigestMismatch"),
    ];
    for (health, reason) in cases {
        let reports = [PodReport { pod: running(&model), health }];
        let (status, next) = status(&model, 1, &reports, &RealmModelStatus::default());
        assert_eq!(verdict(&status, condition::READY), ("False".into(), reason.into()));
        assert_eq!((next, status.served_generation), (Next::AskPods, None));
        assert_eq!(
            verdict(&status, condition::AVAILABLE).0,
            "True",
            "available is about answering"
        );
    }
}

#[test]
fn a_rollout_keeps_what_is_served() {
    let model = model(1);
    let old = RealmModelStatus {
        served_generation: Some(4),
        served_digest: Some("old".into()),
        ..RealmModelStatus::default()
    };
    let stale = Health { generation: 4, ..health(&model) };
    let reports = [
        PodReport { pod: running(&model), health: Ok(health(&model)) },
        PodReport { pod: running(&model), health: Ok(stale) },
    ];
    let (status, _) = status(&model, 1, &reports, &old);
    assert_eq!(verdict(&status, condition::READY).0, "False", "an old pod still answers");
    assert_eq!((status.served_generation, status.served_digest.as_deref()), (Some(4), Some("old")));
}

#[test]
fn two_pods_with_two_files_are_not_ready() {
    let mut model = model(2);
    model.engine.digest = None;
    let other = Health { digest: "b".repeat(64), ..health(&model) };
    let reports = [
        PodReport { pod: running(&model), health: Ok(health(&model)) },
        PodReport { pod: running(&model), health: Ok(other) },
    ];
    let (status, _) = status(&model, 2, &reports, &RealmModelStatus::default());
    assert_eq!(verdict(&status, condition::READY).0, "False");
    assert_eq!(status.served_digest, None);
}

#[test]
fn tenants_are_served_when_every_pod_reports_their_table() {
    let model = model(1);
    let behind = Health { tenants_version: "old".into(), ..health(&model) };
    let reports = [PodReport { pod: running(&model), health: Ok(behind) }];
    let (status, next) = status(&model, 1, &reports, &RealmModelStatus::default());
    assert_eq!(verdict(&status, condition::READY).0, "True", "the model serves");
    assert_eq!((status.served_tenants_version, next), (None, Next::AskPods));
}

#[test]
fn the_cause_of_a_stuck_pod_is_named() {
    let model = model(1);
    let terminated = json!({"terminated": {"exitCode": 1, "message": "sha256 differs"}});
    let cases = [
        (
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "download", "image": "", "imageID": "", "ready": false, "restartCount": 1, "state": terminated}]}),
            "DownloadFailed",
            "sha256 differs",
        ),
        (
            json!({"phase": "Pending", "containerStatuses": [{"name": "engine", "image": "", "imageID": "", "ready": false, "restartCount": 1, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}),
            "ContainerWaiting",
            "no such image",
        ),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]}),
            "Unschedulable",
            "0/1 nodes",
        ),
    ];
    for (pod_status, reason, words) in cases {
        let reports =
            [PodReport { pod: pod(&model, &pod_status), health: Err(HealthError::NoAddress) }];
        let (status, next) = status(&model, 0, &reports, &RealmModelStatus::default());
        let row =
            status.conditions.iter().find(|row| row.type_ == condition::ARTIFACT_READY).unwrap();
        assert_eq!((row.status.as_str(), row.reason.as_str()), ("False", reason));
        assert!(row.message.contains(words), "{}", row.message);
        assert_eq!(next, Next::AwaitPods);
    }
}

#[test]
fn zero_replicas_are_settled_and_not_ready() {
    let model = model(0);
    let (status, next) = status(&model, 0, &[], &RealmModelStatus::default());
    assert_eq!(verdict(&status, condition::READY), ("False".into(), "ScaledToZero".into()));
    assert_eq!((next, status.served_generation), (Next::Settled, None));
}

/// The pod of an older template that shares the engine's settings (only its environment differs) once hid the newer's.
#[test]
fn the_newest_pod_says_what_is_wrong() {
    let model = model(1);
    let crashed = |name: &str, created: &str, words: &str| {
        let waiting = json!({
            "name": "download",
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "message": words}},
        });
        let status = json!({"phase": "Pending", "initContainerStatuses": [waiting]});
        let mut pod = Pod::clone(&pod(&model, &status));
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.creation_timestamp = serde_json::from_value(json!(created)).unwrap();
        PodReport { pod: Arc::new(pod), health: Err(HealthError::NoAddress) }
    };
    let old = crashed("a", "2026-01-01T00:00:00Z", "no such host");
    let new = crashed("b", "2026-01-01T00:00:09Z", "sha256 differs");
    for reports in [[old.clone(), new.clone()], [new, old]] {
        let (status, _) = status(&model, 0, &reports, &RealmModelStatus::default());
        let row = status.conditions.iter().find(|row| row.type_ == condition::ARTIFACT_READY);
        let message = &row.unwrap().message;
        assert!(message.contains("pod b") && message.contains("sha256 differs"), "{message}");
    }
}
