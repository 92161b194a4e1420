//! The contracts between operator, engine-server and users.
//!
//! Holds the two custom resources ([`RealmModel`], [`RealmTenant`]), the files that the operator writes and the
//! engine-server reads ([`EngineConfig`], [`TenantTable`]), and the pure step from one to the other ([`resolve`]).
//! It must not do IO and must not depend on a Kubernetes client: the laptop and the cluster read the same types.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![expect(
    unreachable_pub,
    reason = "the KubeSchema derive repeats each public struct inside a function"
)]

pub mod condition;
pub mod crd;
pub mod duration;
pub mod engine_config;
pub mod names;
pub mod quantity;
pub mod realm_model;
pub mod realm_tenant;
pub mod resolve;
mod validate;
pub mod validation;

pub use engine_config::{
    ArtifactSource, EngineConfig, EngineSettings, KeyEntry, LimitsEntry, TenantEntry, TenantTable,
};
pub use realm_model::{RealmModel, RealmModelSpec, RealmModelStatus};
pub use realm_tenant::{RealmTenant, RealmTenantSpec, RealmTenantStatus};
