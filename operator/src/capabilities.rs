//! Which optional kinds the cluster knows. A leaf, so that pure builders may ask.

use kube::core::{ApiResource, GroupVersionKind};

/// Name of the CustomResourceDefinition of ServiceMonitor.
pub const SERVICE_MONITOR_CRD: &str = "servicemonitors.monitoring.coreos.com";

/// Optional kinds that the cluster knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The Prometheus operator's ServiceMonitor.
    pub service_monitor: bool,
}

/// How ServiceMonitors are addressed.
#[must_use]
pub fn service_monitor_resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("monitoring.coreos.com", "v1", "ServiceMonitor"),
        "servicemonitors",
    )
}
