//! ServiceAccount of the pods. It has no rights, and no token is mounted: an engine never calls the API server.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::model::validate::ValidatedModel;

pub(super) fn build(model: &ValidatedModel) -> ServiceAccount {
    ServiceAccount {
        metadata: model.owner.child(&model.name),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
