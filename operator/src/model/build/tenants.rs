//! Secret with `tenants.json`: hashes of API keys, never keys. Pods read it again while they run.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use realm_crds::names;

use crate::{model::validate::ValidatedModel, resources::tenants_secret};

pub(super) fn build(model: &ValidatedModel) -> Result<Secret, serde_json::Error> {
    let content = serde_json::to_vec_pretty(&model.tenants)?;
    Ok(Secret {
        metadata: model.owner.child(tenants_secret(&model.name)),
        data: Some([(names::TENANTS_FILE.to_owned(), ByteString(content))].into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}
