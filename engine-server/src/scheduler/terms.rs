//! What a tenant is granted in the batch: its standing among the others, and limits of its own.

use crate::{
    scheduler::fairness::{Class, Standing},
    tenant::Tenant,
};

/// Weight of a tenant that has none of its own.
const DEFAULT_WEIGHT: u32 = 100;

/// The terms that a sequence was taken under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Its tenant's place among the others.
    pub standing: Standing,
}

impl Terms {
    /// Of this tenant.
    pub fn of(_tenant: &Tenant) -> Self {
        Self { standing: Standing { class: Class::Standard, weight: DEFAULT_WEIGHT } }
    }
}
