//! From a manifest to the children, through the real validation and the real builders.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use realm_crds::{RealmModel, names};
use realm_operator::{
    capabilities::Capabilities,
    model::{
        build::build,
        dereference::Fetched,
        validate::{ValidatedModel, validate},
    },
    resources::{Prepared, Resources},
    settings::PodSettings,
};
use serde_json::{Value, json};

const HUB: &str =
    "{huggingFace: {repo: a/b, file: x.gguf, tokenSecretRef: {name: hub, key: token}}}";
const IMAGE: &str = "{image: {reference: 'r.io/m@sha256:1', path: x.gguf}}";

fn model(spec: &str) -> RealmModel {
    let yaml = format!(
        "{{apiVersion: realm.querent.io/v1alpha1, kind: RealmModel, metadata: {{name: m, namespace: ns, uid: u, generation: 5}}, spec: {spec}}}"
    );
    serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

fn validated(spec: &str, fetched: &Fetched) -> ValidatedModel {
    validate(&model(spec), fetched).unwrap()
}

fn children_with(spec: &str, capabilities: Capabilities) -> Resources<Prepared> {
    let settings = PodSettings {
        engine_image: "engine:1".to_owned(),
        hf_endpoint: Some("https://mirror".to_owned()),
    };
    build(&validated(spec, &Fetched::default()), &settings, capabilities).unwrap()
}

fn children(spec: &str) -> Resources<Prepared> {
    children_with(spec, Capabilities { service_monitor: true })
}

fn pod(spec: &str) -> Value {
    serde_json::to_value(children(spec).deployment.spec.template.spec).unwrap()
}

#[test]
fn every_child_has_the_owner_the_namespace_and_the_labels() {
    let spec = format!("{{source: {HUB}, cache: {{mode: PVC, size: 1Gi}}}}");
    let children = children(&spec);
    let metadata = [
        &children.service_account.metadata,
        &children.engine_config.metadata,
        &children.tenants.metadata,
        &children.claim.as_ref().unwrap().metadata,
        &children.deployment.metadata,
        &children.service.metadata,
        &children.metrics_service.metadata,
        &children.service_monitor.as_ref().unwrap().metadata,
        &children.dashboard.as_ref().unwrap().metadata,
    ];
    for metadata in metadata {
        let owner = &metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.uid.as_str(), owner.controller),
            ("RealmModel", "u", Some(true))
        );
        assert_eq!(metadata.namespace.as_deref(), Some("ns"));
        let labels = metadata.labels.as_ref().unwrap();
        assert_eq!(labels[names::LABEL_MANAGED_BY], names::MANAGED_BY);
        assert_eq!(labels[names::LABEL_MODEL], "m");
    }
}

#[test]
fn pods_obey_the_restricted_standard() {
    for source in [HUB, IMAGE] {
        let pod = pod(&format!("{{source: {source}}}"));
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["automountServiceAccountToken"], false);
        let inits = pod["initContainers"].as_array().into_iter().flatten();
        for container in inits.chain(pod["containers"].as_array().unwrap()) {
            let wanted = json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            });
            assert_eq!(container["securityContext"], wanted);
        }
    }
}

#[test]
fn remote_sources_are_downloaded_first() {
    let pod = pod(&format!("{{source: {HUB}, resources: {{cpu: 2, memory: 1Gi}}}}"));
    let download = &pod["initContainers"][0];
    assert_eq!(
        download["args"],
        json!([
            "download",
            "--config",
            "/etc/realm/engine/engine.json",
            "--store",
            "/var/lib/realm/models"
        ])
    );
    let token =
        json!({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}});
    assert_eq!(download["env"], json!([{"name": "HF_ENDPOINT", "value": "https://mirror"}, token]));
    assert_eq!(pod["containers"][0]["resources"]["limits"], json!({"cpu": "2", "memory": "1Gi"}));
    assert_eq!(download["resources"], pod["containers"][0]["resources"]);
    let store =
        pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "store").unwrap();
    assert_eq!(store["emptyDir"], json!({}));
}

/// Guards programs: the engine's root and store are read-only, so compiled ones need a folder of their own.
#[test]
fn the_engine_can_write_compiled_programs() {
    for source in [HUB, IMAGE] {
        let pod = pod(&format!("{{source: {source}}}"));
        let engine = &pod["containers"][0];
        let args = engine["args"].as_array().unwrap();
        let flag = args.iter().position(|arg| arg == "--programs").unwrap();
        let folder = &args[flag + 1];
        let of_folder = |mount: &&Value| mount["mountPath"] == *folder;
        let mounts = engine["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(of_folder).unwrap();
        assert_eq!(mount.get("readOnly"), None);
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        assert_eq!(volume["emptyDir"]["sizeLimit"], "2Gi");
    }
}

#[test]
fn mounted_sources_need_no_download() {
    let pod = pod(&format!("{{source: {IMAGE}, cache: {{mode: PVC, size: 1Gi}}}}"));
    assert!(pod.get("initContainers").is_none());
    let source = pod["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|volume| volume["name"] == "source")
        .unwrap();
    assert_eq!(source["image"]["reference"], "r.io/m@sha256:1");
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| mount["mountPath"] == names::SOURCE_MOUNT && mount["readOnly"] == true)
    );
    assert!(
        children(&format!("{{source: {IMAGE}, cache: {{mode: PVC, size: 1Gi}}}}")).claim.is_none()
    );
}

#[test]
fn the_engine_drains_before_it_is_killed() {
    let pod = pod(&format!("{{source: {HUB}, rollout: {{drainTimeout: 2m}}}}"));
    assert_eq!(pod["terminationGracePeriodSeconds"], 150);
    assert_eq!(
        pod["containers"][0]["readinessProbe"]["httpGet"],
        json!({"path": "/readyz", "port": "management"})
    );
    assert_eq!(pod["containers"][0]["livenessProbe"]["httpGet"]["path"], "/livez");
}

#[test]
fn strategy_follows_the_cache() {
    let strategy = |spec: &str| {
        serde_json::to_value(
            children(&format!("{{source: {HUB}, {spec}}}")).deployment.spec.strategy,
        )
        .unwrap()
    };
    assert_eq!(strategy("cache: {mode: PVC, size: 1Gi}"), json!({"type": "Recreate"}));
    let rolling =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    assert_eq!(strategy("replicas: 1"), rolling);
    assert_eq!(strategy("cache: {mode: PVC, size: 1Gi, accessMode: ReadWriteMany}"), rolling);
}

#[test]
fn suspend_stops_pods_and_keeps_replicas() {
    let children = children(&format!("{{source: {HUB}, replicas: 3, suspend: true}}"));
    assert_eq!(children.deployment.spec.replicas, Some(0));
}

#[test]
fn monitoring_follows_switches_and_capabilities() {
    let cases = [
        ("Auto", true, true),
        ("Auto", false, false),
        ("Always", false, false),
        ("Never", true, false),
    ];
    for (switch, known, made) in cases {
        let spec = format!(
            "{{source: {HUB}, observability: {{serviceMonitor: {switch}, dashboard: Never}}}}"
        );
        let children = children_with(&spec, Capabilities { service_monitor: known });
        assert_eq!(children.service_monitor.is_some(), made, "{switch} {known}");
        assert!(children.dashboard.is_none());
    }
    let spec =
        format!("{{source: {HUB}, observability: {{labels: {{release: prom}}, interval: 5s}}}}");
    let monitor = children(&spec).service_monitor.unwrap();
    assert_eq!(monitor.metadata.labels.unwrap()["release"], "prom");
    assert_eq!(monitor.data["spec"]["endpoints"][0]["interval"], "5s");
    assert_eq!(monitor.data["spec"]["endpoints"][0]["scrapeTimeout"], "5s");
}

#[test]
fn dashboards_are_told_apart_and_preselect_their_model() {
    let map = children(&format!("{{source: {HUB}}}")).dashboard.unwrap();
    let data = map.data.unwrap();
    let dashboard: Value = serde_json::from_str(&data["realm-ns-m.json"]).unwrap();
    assert_eq!(map.metadata.labels.unwrap()["grafana_dashboard"], "1");
    assert!(dashboard["uid"].as_str().unwrap().len() <= 40, "Grafana refuses longer ones");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let selected = |name: &str| {
        variables.iter().find(|variable| variable["name"] == name).unwrap()["current"]["value"]
            .clone()
    };
    assert_eq!((selected("namespace"), selected("model")), (json!("ns"), json!("m")));
}

#[test]
fn an_edit_that_does_not_concern_the_engine_keeps_its_generation() {
    let before = children(&format!("{{source: {HUB}}}"));
    let fetched = || Fetched {
        deployment: Some(std::sync::Arc::new(before.deployment.clone())),
        ..Fetched::default()
    };
    let mut edited = model(&format!("{{source: {HUB}, replicas: 2}}"));
    edited.metadata.generation = Some(6);
    assert_eq!(validate(&edited, &fetched()).unwrap().engine.generation, 5);
    let mut other = model(&format!("{{source: {HUB}, engine: {{parallel: 8}}}}"));
    other.metadata.generation = Some(6);
    let other = validate(&other, &fetched()).unwrap();
    assert_eq!((other.engine.generation, other.generation), (6, 6));
}

#[test]
fn a_spec_that_breaks_a_rule_is_refused_with_its_field() {
    let refused = validate(&model("{source: {}}"), &Fetched::default()).unwrap_err();
    assert!(refused.to_string().contains("spec.source: set exactly one of"), "{refused}");
}
