//! ConfigMap with `engine.json`. Named by its content and immutable, so that a pod can never read another pod's version.

use k8s_openapi::api::core::v1::ConfigMap;
use realm_crds::names;
use sha2::{Digest, Sha256};

use crate::model::validate::ValidatedModel;

pub(super) fn build(model: &ValidatedModel) -> Result<ConfigMap, serde_json::Error> {
    let content = serde_json::to_string_pretty(&model.engine)?;
    let hash = hex::encode(Sha256::digest(&content));
    Ok(ConfigMap {
        metadata: model.owner.child(format!("{}-engine-{}", model.name, &hash[..10])),
        data: Some([(names::ENGINE_FILE.to_owned(), content)].into()),
        immutable: Some(true),
        binary_data: None,
    })
}
