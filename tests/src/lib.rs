//! What the whole-system tests share: the cluster, a namespace of their own, a mirror of the model hub, a client
//! inside the cluster, Realm itself. Knows no behaviour; each behaviour is a file in `tests/`.
#![forbid(unsafe_code)]

pub mod answer;
pub mod cluster;
pub mod mirror;
pub mod monitoring;
pub mod namespace;
pub mod probe;
pub mod realm;
pub mod wait;

use anyhow::Result;

use crate::{cluster::Cluster, mirror::Mirror, namespace::Namespace};

/// Runs one test in a namespace of its own, with Realm installed and the model served by a mirror.
///
/// # Errors
/// The test's own error, after the state of its namespace was printed; or the cluster is missing.
pub fn with_realm(name: &str, test: impl FnOnce(&Namespace<'_>) -> Result<()>) -> Result<()> {
    let cluster = Cluster::connect()?;
    let mirror = Mirror::start(&cluster)?;
    realm::install(&cluster, &mirror.url)?;
    Namespace::with(&cluster, name, test)
}
