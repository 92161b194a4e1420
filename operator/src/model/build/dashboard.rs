//! ConfigMap with a Grafana dashboard of the model, found by Grafana's sidecar through its label.

use k8s_openapi::api::core::v1::ConfigMap;
use realm_crds::names;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{model::validate::ValidatedModel, resources::dashboard};

/// The dashboard for any model; each copy gets its own identity and preselects its model.
const TEMPLATE: &str = include_str!("../../../../dashboards/realm-model.json");

pub(super) fn build(model: &ValidatedModel) -> Result<ConfigMap, serde_json::Error> {
    let mut metadata = model.owner.child(dashboard(&model.name));
    let labels = metadata.labels.get_or_insert_default();
    labels.extend(model.spec.observability.labels.clone());
    labels.insert(names::LABEL_GRAFANA_DASHBOARD.to_owned(), "1".to_owned());
    let file = format!("realm-{}-{}.json", model.owner.namespace, model.name);
    Ok(ConfigMap { metadata, data: Some([(file, render(model)?)].into()), ..ConfigMap::default() })
}

/// Grafana tells dashboards apart by uid, and its sidecar tells files apart by name, in one folder for all namespaces.
fn render(model: &ValidatedModel) -> Result<String, serde_json::Error> {
    let mut json: Value = serde_json::from_str(TEMPLATE)?;
    let id = format!("{}/{}", model.owner.namespace, model.name);
    json["uid"] = json!(format!("realm-{}", &hex::encode(Sha256::digest(&id))[..16]));
    json["title"] = json!(format!("Realm model {id}"));
    for variable in json["templating"]["list"].as_array_mut().into_iter().flatten() {
        let selected = match variable["name"].as_str() {
            Some("namespace") => &model.owner.namespace,
            Some("model") => &model.engine.served_name,
            _ => continue,
        };
        variable["current"] = json!({ "text": selected, "value": selected });
    }
    serde_json::to_string_pretty(&json)
}
