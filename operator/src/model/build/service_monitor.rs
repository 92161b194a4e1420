//! ServiceMonitor: tells the Prometheus operator to scrape the model's pods.

use kube::core::DynamicObject;
use realm_crds::names;
use serde_json::json;

use crate::{
    capabilities::service_monitor_resource, model::validate::ValidatedModel,
    resources::METRICS_COMPONENT,
};

/// Longest scrape; a scrape never lasts longer than the interval.
const SCRAPE_TIMEOUT_MAX_SECONDS: u32 = 10;

pub(super) fn build(model: &ValidatedModel) -> DynamicObject {
    let observability = &model.spec.observability;
    let interval = observability.interval.seconds().unwrap_or(SCRAPE_TIMEOUT_MAX_SECONDS);
    let mut object = DynamicObject::new(&model.name, &service_monitor_resource());
    object.metadata = model.owner.child(&model.name);
    object.metadata.labels.get_or_insert_default().extend(observability.labels.clone());
    object.data = json!({
        "spec": {
            "jobLabel": names::LABEL_APP_NAME,
            "selector": {
                "matchLabels": {
                    names::LABEL_MODEL: model.name,
                    names::LABEL_APP_COMPONENT: METRICS_COMPONENT,
                },
            },
            "endpoints": [{
                "port": names::MANAGEMENT_PORT_NAME,
                "path": "/metrics",
                "interval": format!("{interval}s"),
                "scrapeTimeout": format!("{}s", interval.min(SCRAPE_TIMEOUT_MAX_SECONDS)),
            }],
        },
    });
    object
}
