//! The pod template: an engine-server under the restricted Pod Security Standard, and a download before it where needed.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource,
        EnvVar, EnvVarSource, HTTPGetAction, ImageVolumeSource, PersistentVolumeClaimVolumeSource,
        PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
        SecretKeySelector, SecretVolumeSource, SecurityContext, TopologySpreadConstraint, Volume,
        VolumeMount,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use realm_crds::{ArtifactSource, names, realm_model::CacheMode};

use crate::{
    model::validate::ValidatedModel,
    resources::{
        DOWNLOAD_CONTAINER, ENGINE_COMPONENT, ENGINE_CONTAINER, claim, pod_selector, tenants_secret,
    },
    settings::PodSettings,
};

/// The engine-server in its image.
const BINARY: &str = "/realm";
/// User and group of the pods; no image needs to know it.
const USER: i64 = 65532;
/// Time between the end of the drain and the kill.
const KILL_MARGIN_SECONDS: i64 = 30;
/// Longest start: reading and checking a large file on a slow disk.
const START_SECONDS_MAX: i32 = 1800;

const CONFIG_VOLUME: &str = "engine";
const TENANTS_VOLUME: &str = "tenants";
const STORE_VOLUME: &str = "store";
const PROGRAMS_VOLUME: &str = "programs";
/// Bytes of compiled programs beyond which the kubelet replaces the pod.
const PROGRAMS_SIZE: &str = "2Gi";
const SOURCE_VOLUME: &str = "source";

pub(super) fn template(
    model: &ValidatedModel,
    settings: &PodSettings,
    config_name: &str,
) -> PodTemplateSpec {
    let mut labels = model.owner.labels.clone();
    labels.insert(names::LABEL_APP_COMPONENT.to_owned(), ENGINE_COMPONENT.to_owned());
    let annotations = [
        (names::ANNOTATION_ENGINE_HASH.to_owned(), model.engine_hash.clone()),
        (names::ANNOTATION_ENGINE_GENERATION.to_owned(), model.engine.generation.to_string()),
    ];
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations.into()),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(model, settings, config_name)),
    }
}

fn spec(model: &ValidatedModel, settings: &PodSettings, config_name: &str) -> PodSpec {
    let downloads = model.engine.source.mounted_file().is_none();
    PodSpec {
        service_account_name: Some(model.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(
            i64::from(model.engine.drain_timeout_seconds) + KILL_MARGIN_SECONDS,
        ),
        security_context: Some(pod_security()),
        topology_spread_constraints: Some(vec![spread(model)]),
        init_containers: downloads.then(|| vec![download(model, settings)]),
        containers: vec![engine(model, settings)],
        volumes: Some(volumes(model, config_name)),
        ..PodSpec::default()
    }
}

/// Runs before the engine and leaves the file, whole and verified, in the store.
fn download(model: &ValidatedModel, settings: &PodSettings) -> Container {
    let mut env = Vec::new();
    if let Some(endpoint) = &settings.hf_endpoint {
        env.push(EnvVar {
            name: "HF_ENDPOINT".to_owned(),
            value: Some(endpoint.clone()),
            value_from: None,
        });
    }
    if let ArtifactSource::HuggingFace(hub) = &model.engine.source
        && let Some(secret) = &hub.token_secret_ref
    {
        let selector = SecretKeySelector {
            name: secret.name.clone(),
            key: secret.key.clone(),
            optional: None,
        };
        let from = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
        env.push(EnvVar { name: "HF_TOKEN".to_owned(), value: None, value_from: Some(from) });
    }
    Container {
        name: DOWNLOAD_CONTAINER.to_owned(),
        args: Some(arguments(
            "download",
            &[("--config", names::ENGINE_MOUNT, Some(names::ENGINE_FILE))],
        )),
        env: Some(env).filter(|env| !env.is_empty()),
        volume_mounts: Some(vec![
            mount(CONFIG_VOLUME, names::ENGINE_MOUNT, true),
            store_mount(model, false),
        ]),
        ..container(model, settings)
    }
}

fn engine(model: &ValidatedModel, settings: &PodSettings) -> Container {
    let files = [
        ("--config", names::ENGINE_MOUNT, Some(names::ENGINE_FILE)),
        ("--tenants", names::TENANTS_MOUNT, Some(names::TENANTS_FILE)),
        ("--programs", names::PROGRAMS_MOUNT, None),
    ];
    Container {
        name: ENGINE_CONTAINER.to_owned(),
        args: Some(arguments("serve", &files)),
        ports: Some(vec![
            port(names::API_PORT_NAME, names::API_PORT),
            port(names::MANAGEMENT_PORT_NAME, names::MANAGEMENT_PORT),
        ]),
        startup_probe: Some(probe("/readyz", 1, START_SECONDS_MAX)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        volume_mounts: Some(vec![
            mount(CONFIG_VOLUME, names::ENGINE_MOUNT, true),
            mount(TENANTS_VOLUME, names::TENANTS_MOUNT, true),
            mount(PROGRAMS_VOLUME, names::PROGRAMS_MOUNT, false),
            store_mount(model, true),
        ]),
        ..container(model, settings)
    }
}

/// `VERB --flag folder/file ... --store FOLDER`.
fn arguments(verb: &str, files: &[(&str, &str, Option<&str>)]) -> Vec<String> {
    let mut arguments = vec![verb.to_owned()];
    for (flag, folder, file) in files {
        arguments.push((*flag).to_owned());
        arguments
            .push(file.map_or_else(|| (*folder).to_owned(), |file| format!("{folder}/{file}")));
    }
    arguments.extend(["--store".to_owned(), names::STORE_MOUNT.to_owned()]);
    arguments
}

/// What both containers share.
fn container(model: &ValidatedModel, settings: &PodSettings) -> Container {
    Container {
        image: Some(settings.engine_image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(vec![BINARY.to_owned()]),
        resources: resources(model),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn resources(model: &ValidatedModel) -> Option<ResourceRequirements> {
    let given = &model.spec.resources;
    let amounts: std::collections::BTreeMap<String, Quantity> =
        [("cpu", &given.cpu), ("memory", &given.memory)]
            .into_iter()
            .filter_map(|(name, amount)| {
                Some((name.to_owned(), Quantity(amount.as_ref()?.0.clone())))
            })
            .collect();
    let both = ResourceRequirements {
        requests: Some(amounts.clone()),
        limits: Some(amounts.clone()),
        claims: None,
    };
    (!amounts.is_empty()).then_some(both)
}

fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

/// Pods of one model prefer different nodes, and run on one when there is no other.
fn spread(model: &ValidatedModel) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(pod_selector(&model.name)),
            match_expressions: None,
        }),
        ..TopologySpreadConstraint::default()
    }
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(names::MANAGEMENT_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        // The API server leaves `false` out, which would read as drift.
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// The model's file: in the store when it is downloaded, in its own mount otherwise.
fn store_mount(model: &ValidatedModel, read_only: bool) -> VolumeMount {
    match model.engine.source.mounted_file() {
        Some(_) => mount(SOURCE_VOLUME, names::SOURCE_MOUNT, true),
        None => mount(STORE_VOLUME, names::STORE_MOUNT, read_only),
    }
}

fn volumes(model: &ValidatedModel, config_name: &str) -> Vec<Volume> {
    let config =
        ConfigMapVolumeSource { name: config_name.to_owned(), ..ConfigMapVolumeSource::default() };
    let tenants = SecretVolumeSource {
        secret_name: Some(tenants_secret(&model.name)),
        ..SecretVolumeSource::default()
    };
    vec![
        Volume { name: CONFIG_VOLUME.to_owned(), config_map: Some(config), ..Volume::default() },
        Volume { name: TENANTS_VOLUME.to_owned(), secret: Some(tenants), ..Volume::default() },
        programs_volume(),
        file_volume(model),
    ]
}

/// The only folder that the engine writes to; the pod's own, so that no other process lays code there.
fn programs_volume() -> Volume {
    let size_limit = Some(Quantity(PROGRAMS_SIZE.to_owned()));
    Volume {
        name: PROGRAMS_VOLUME.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { size_limit, ..EmptyDirVolumeSource::default() }),
        ..Volume::default()
    }
}

fn file_volume(model: &ValidatedModel) -> Volume {
    match &model.engine.source {
        ArtifactSource::Pvc(pvc) => Volume {
            name: SOURCE_VOLUME.to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: pvc.claim_name.clone(),
                read_only: Some(true),
            }),
            ..Volume::default()
        },
        ArtifactSource::Image(image) => Volume {
            name: SOURCE_VOLUME.to_owned(),
            image: Some(ImageVolumeSource {
                reference: Some(image.reference.clone()),
                pull_policy: Some("IfNotPresent".to_owned()),
            }),
            ..Volume::default()
        },
        ArtifactSource::HuggingFace(_) | ArtifactSource::Http(_) => store_volume(model),
    }
}

fn store_volume(model: &ValidatedModel) -> Volume {
    let cache = &model.spec.cache;
    let mut volume = Volume { name: STORE_VOLUME.to_owned(), ..Volume::default() };
    match cache.mode {
        CacheMode::Pvc => {
            let claim = PersistentVolumeClaimVolumeSource {
                claim_name: claim(&model.name),
                read_only: None,
            };
            volume.persistent_volume_claim = Some(claim);
        }
        CacheMode::Ephemeral => {
            let size_limit = cache.size.as_ref().map(|size| Quantity(size.0.clone()));
            volume.empty_dir =
                Some(EmptyDirVolumeSource { size_limit, ..EmptyDirVolumeSource::default() });
        }
    }
    volume
}
