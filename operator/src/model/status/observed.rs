//! Everything that a status is computed from.

use jiff::Timestamp;
use realm_crds::RealmModelStatus;

use crate::{
    capabilities::Capabilities,
    health::PodReport,
    model::validate::ValidatedModel,
    resources::{Applied, Resources},
};

/// Everything that a status is computed from.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The resource.
    pub model: &'a ValidatedModel,
    /// Its children, as the API server returned them.
    pub applied: &'a Resources<Applied>,
    /// Its pods, and what they said.
    pub reports: &'a [PodReport],
    /// Optional kinds that the cluster knows.
    pub capabilities: Capabilities,
    /// The status so far.
    pub old: &'a RealmModelStatus,
    /// The present.
    pub now: Timestamp,
}
