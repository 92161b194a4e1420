//! The two Services of a model: the API for tenants, and metrics for Prometheus.
//!
//! They are apart so that the management port is never behind a load balancer or a node port.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use realm_crds::names;

use crate::{
    model::validate::ValidatedModel,
    resources::{METRICS_COMPONENT, metrics_service, pod_selector},
};

pub(super) fn api(model: &ValidatedModel) -> Service {
    let exposure = &model.spec.exposure.service;
    Service {
        metadata: model.owner.child(&model.name),
        spec: Some(ServiceSpec {
            type_: Some(exposure.type_.as_str().to_owned()),
            selector: Some(pod_selector(&model.name)),
            ports: Some(vec![port(names::API_PORT_NAME, exposure.port.into())]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

pub(super) fn metrics(model: &ValidatedModel) -> Service {
    let mut metadata = model.owner.child(metrics_service(&model.name));
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(names::LABEL_APP_COMPONENT.to_owned(), METRICS_COMPONENT.to_owned());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(pod_selector(&model.name)),
            ports: Some(vec![port(names::MANAGEMENT_PORT_NAME, names::MANAGEMENT_PORT.into())]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
