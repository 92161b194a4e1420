//! What a tenant is granted in the batch: its standing among the others, and its budget of the KV cache.

use realm_crds::realm_tenant::TenantClass;
use realm_engine::engine::PAGE_TOKENS;

use crate::{
    scheduler::fairness::{Class, Standing},
    tenant::Tenant,
};

/// The terms that a sequence was taken under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Its tenant's place among the others.
    pub standing: Standing,
    /// What its tenant's running sequences may hold.
    pub kv: Option<KvBudget>,
}

/// A tenant's part of the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvBudget {
    /// As the tenant's limits say it.
    pub bytes: u64,
    /// Whole pages of them.
    pub pages: usize,
}

impl KvBudget {
    /// So many bytes, in pages of a size.
    pub fn new(bytes: u64, page_bytes: usize) -> Self {
        let pages = bytes / (page_bytes.max(1) as u64);
        Self { bytes, pages: usize::try_from(pages).unwrap_or(usize::MAX) }
    }

    /// Tokens that fit.
    pub fn tokens(self) -> usize {
        self.pages.saturating_mul(PAGE_TOKENS)
    }
}

impl Terms {
    /// Of this tenant, where a page of the KV cache has so many bytes.
    pub fn of(tenant: &Tenant, page_bytes: usize) -> Self {
        let class = match tenant.class {
            TenantClass::Realtime => Class::Realtime,
            TenantClass::Standard => Class::Standard,
            TenantClass::Batch => Class::Batch,
        };
        let standing = Standing { class, weight: tenant.weight };
        let bytes = tenant.limits.kv_bytes;
        Self { standing, kv: bytes.map(|bytes| KvBudget::new(bytes, page_bytes)) }
    }

    /// Tokens that one sequence may hold in a context of this length.
    pub fn context(&self, context: usize) -> usize {
        self.kv.map_or(context, |kv| kv.tokens().min(context))
    }
}
