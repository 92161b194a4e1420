//! PersistentVolumeClaim that keeps the model's file between pods.

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use realm_crds::realm_model::AccessMode;

use crate::{model::validate::ValidatedModel, resources::claim};

pub(super) fn build(model: &ValidatedModel) -> PersistentVolumeClaim {
    let cache = &model.spec.cache;
    let mode = match cache.access_mode {
        AccessMode::ReadWriteOnce => "ReadWriteOnce",
        AccessMode::ReadWriteMany => "ReadWriteMany",
    };
    let size =
        cache.size.as_ref().map(|size| [("storage".to_owned(), Quantity(size.0.clone()))].into());
    PersistentVolumeClaim {
        metadata: model.owner.child(claim(&model.name)),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![mode.to_owned()]),
            storage_class_name: cache.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements { requests: size, limits: None }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
