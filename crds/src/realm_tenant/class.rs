//! How urgent a tenant's requests are. A leaf: manifests, tables and the engine-server say it in the same words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How urgent requests are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum TenantClass {
    /// Someone waits for each token: goes before the others, within its tenant's share.
    Realtime,
    /// The usual.
    #[default]
    Standard,
    /// Nobody waits: takes what the others leave.
    Batch,
}
