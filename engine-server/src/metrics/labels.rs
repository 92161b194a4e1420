//! Labels that most metrics share.

use prometheus_client::encoding::EncodeLabelSet;

/// Labels of what belongs to a tenant and a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TenantLabels {
    /// Name of a known tenant.
    pub tenant: String,
    /// Served name of the model.
    pub model: String,
}
