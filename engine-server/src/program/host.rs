//! What a tenant's program reaches of this server: the model's tokenizer, the tenant's store, lines in the log.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use realm_engine::{engine::Model, tokenizer::SpecialTokens};
use realm_sandbox::{
    Host,
    host::{Log, Metrics, SystemClock, Tokenizer},
    memory_store::MemoryStore,
    wire::LogLevel,
};

use crate::tenant::TenantId;

/// Counters of one tenant's program; what comes with further names is dropped.
const MAX_COUNTERS: usize = 32;

/// The host of one tenant.
pub(super) fn host(tenant: &TenantId, model: &Arc<Model>, store: &Arc<MemoryStore>) -> Host {
    Host {
        tokenizer: Arc::new(ModelTokenizer(Arc::clone(model))),
        store: store.clone(),
        log: Arc::new(TenantLog(tenant.to_string())),
        metrics: Arc::new(TenantCounters::of(tenant)),
        clock: Arc::new(SystemClock::default()),
    }
}

struct ModelTokenizer(Arc<Model>);

impl Tokenizer for ModelTokenizer {
    fn encode(&self, text: &str) -> Vec<u32> {
        self.0.tokenizer().encode(text, SpecialTokens::AsText)
    }

    fn decode(&self, tokens: &[u32]) -> Result<String, String> {
        Ok(self.0.tokenizer().decode(tokens))
    }

    fn vocabulary_size(&self) -> u32 {
        u32::try_from(self.0.info().vocab_size).unwrap_or(u32::MAX)
    }
}

struct TenantLog(String);

impl Log for TenantLog {
    fn emit(&self, level: LogLevel, message: &str) {
        let tenant = &self.0;
        match level {
            LogLevel::Debug => tracing::debug!(target: "realm::program", %tenant, "{message}"),
            LogLevel::Info => tracing::info!(target: "realm::program", %tenant, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "realm::program", %tenant, "{message}"),
            LogLevel::Error => tracing::error!(target: "realm::program", %tenant, "{message}"),
        }
    }
}

/// Sums by name, told in the log as they change: they are the tenant's own and no series of the server.
struct TenantCounters {
    tenant: String,
    sums: Mutex<BTreeMap<String, f64>>,
}

impl TenantCounters {
    fn of(tenant: &TenantId) -> Self {
        Self { tenant: tenant.to_string(), sums: Mutex::default() }
    }
}

impl Metrics for TenantCounters {
    fn add(&self, name: &str, value: f64) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.len() >= MAX_COUNTERS && !sums.contains_key(name) {
            return;
        }
        let sum = sums.entry(name.to_owned()).or_default();
        *sum += value;
        tracing::debug!(target: "realm::program", tenant = self.tenant, name, sum = *sum, "counter");
    }
}
