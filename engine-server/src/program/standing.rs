//! How far a tenant's program is on its way from an address to code that runs.

use std::sync::Arc;

use realm_sandbox::Program;

/// How far a tenant's program is.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It is fetched, looked at or compiled.
    Preparing,
    /// It runs.
    Ready(Arc<Program>),
    /// It cannot be used; the reason is for the tenant.
    Refused(Arc<str>),
}
