//! What every request can see: the configuration and tenants in use, the open model, health, metrics and bounds.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use realm_crds::engine_config::{EngineConfig, TenantTable};
use realm_engine::engine::Model;

use crate::{
    admission::ledger::Ledger,
    agent::Agents,
    config::{Limits, Resolved},
    constraint::Constraints,
    health::{Health, HealthDocument, LoadedDocument},
    metrics::{MAX_TENANT_LABELS, Metrics, OTHER_TENANT, TenantLabels},
    program::Programs,
    scheduler::Scheduler,
    tenant::{LabelRules, TenantDirectory, TenantTableError},
};

/// The configuration and the tenants in use.
#[derive(Debug)]
pub struct Serving {
    /// What is served.
    pub config: EngineConfig,
    /// Who may use it.
    pub tenants: TenantDirectory,
}

/// The open model and its scheduler.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub model: Arc<Model>,
    /// Compiles what answers have to be.
    pub constraints: Arc<Constraints>,
    /// Where its sequences run.
    pub scheduler: Scheduler,
    /// Tokens that one sequence can hold.
    pub context_length: usize,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
    /// Bytes reserved for keys and values.
    pub kv_bytes: usize,
}

/// Why the newest configuration is not, or not wholly, in use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// The tenants do not read; everything stays as it was.
    #[error("the tenant table is not used: {0}")]
    Tenants(#[from] TenantTableError),
    /// The tenants are in use, the rest needs a new process.
    #[error("a change of {fields} takes effect when the server is started again")]
    NeedsRestart {
        /// Names of the fields.
        fields: String,
    },
}

/// Shared by all requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    serving: RwLock<Arc<Serving>>,
    loaded: OnceLock<Loaded>,
    health: Health,
    metrics: Metrics,
    programs: Programs,
    agents: Agents,
    /// Held while the page of metrics is written.
    scrape: Mutex<()>,
    ledger: Ledger,
    limits: Limits,
    /// When the process began, in seconds since 1970; the `created` of the model.
    created: u64,
}

impl AppState {
    /// The state of a process that has begun to load.
    pub fn new(
        resolved: Resolved,
        limits: Limits,
        metrics: Metrics,
    ) -> Result<Self, TenantTableError> {
        let programs = Programs::default();
        let Resolved { config, tenants } = resolved;
        programs.replace(&tenants);
        let serving = serving(config, &tenants)?;
        attach(&metrics, &serving);
        let inner = Inner {
            serving: RwLock::new(Arc::new(serving)),
            loaded: OnceLock::new(),
            health: Health::loading(),
            metrics,
            programs,
            agents: Agents::default(),
            scrape: Mutex::default(),
            ledger: Ledger::default(),
            limits,
            created: unix_seconds(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The configuration and tenants in use now.
    pub fn serving(&self) -> Arc<Serving> {
        Arc::clone(&self.inner.serving.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The open model; `None` while it loads.
    pub fn loaded(&self) -> Option<&Loaded> {
        self.inner.loaded.get()
    }

    /// Where the process is in its life.
    pub fn health(&self) -> &Health {
        &self.inner.health
    }

    /// Counters and histograms.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// The tenants' programs.
    pub fn programs(&self) -> &Programs {
        &self.inner.programs
    }

    /// The places of agents.
    pub fn agents(&self) -> &Agents {
        &self.inner.agents
    }

    /// The page of all metrics, with the counts that tenants' programs keep themselves.
    pub fn metrics_page(&self) -> Result<String, fmt::Error> {
        let _one_at_a_time = self.inner.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        let serving = self.serving();
        self.inner.programs.write_metrics(
            &self.inner.metrics.programs,
            &serving.config.served_name,
            serving.tenants.tenants(),
        );
        self.inner.metrics.encode()
    }

    /// What each tenant has used of its limits.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// Bounds of everything.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// When the process began, in seconds since 1970.
    pub fn created(&self) -> u64 {
        self.inner.created
    }

    /// Requests are answered from now on. A second model is ignored: a process serves one.
    pub fn set_loaded(&self, loaded: Loaded) {
        if self.inner.loaded.set(loaded).is_ok() {
            self.inner.health.ready();
        }
    }

    /// Takes a newly read configuration into use, at once for all later requests.
    pub fn replace(&self, resolved: Resolved) -> Result<(), ReplaceError> {
        let Resolved { config, tenants } = resolved;
        let mut next = serving(config, &tenants)?;
        self.inner.programs.replace(&tenants);
        let current = self.serving();
        let fields = restart_fields(&current.config, &next.config);
        if !fields.is_empty() {
            next.config = current.config.clone();
        }
        attach(&self.inner.metrics, &next);
        self.inner.ledger.keep(next.tenants.tenants().map(|tenant| &tenant.id));
        *self.inner.serving.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        if fields.is_empty() {
            Ok(())
        } else {
            Err(ReplaceError::NeedsRestart { fields: fields.join(", ") })
        }
    }

    /// The document of `GET /health`, of which everybody may read every word.
    pub fn health_document(&self) -> HealthDocument {
        let serving = self.serving();
        HealthDocument {
            status: self.inner.health.status(),
            model: serving.config.served_name.clone(),
            generation: serving.config.generation,
            tenants_version: serving.tenants.version().to_owned(),
            loaded: self.loaded().map(loaded_document),
            message: self.inner.health.message(),
            programs: Vec::new(),
            programs_omitted: 0,
        }
    }
}

impl Serving {
    /// Whether clients may ask for the model by this name.
    pub fn answers_to(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// The served name, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.config.served_name).chain(&self.config.aliases).map(String::as_str)
    }
}

fn serving(config: EngineConfig, tenants: &TenantTable) -> Result<Serving, TenantTableError> {
    let labels = LabelRules {
        home_namespace: &config.namespace,
        max_labels: MAX_TENANT_LABELS,
        other: OTHER_TENANT,
    };
    let tenants = TenantDirectory::new(tenants, config.anonymous, labels)?;
    Ok(Serving { config, tenants })
}

fn attach(metrics: &Metrics, serving: &Serving) {
    for tenant in serving.tenants.tenants() {
        let labels = TenantLabels {
            tenant: tenant.label.clone(),
            model: serving.config.served_name.clone(),
        };
        metrics.attach_tenant(&labels);
    }
    metrics.tenants_overflow.inc_by(serving.tenants.overflow() as u64);
}

/// Fields that the running engine was built from.
fn restart_fields(current: &EngineConfig, next: &EngineConfig) -> Vec<&'static str> {
    let changed = [
        ("namespace", current.namespace != next.namespace),
        ("resource", current.resource != next.resource),
        ("servedName", current.served_name != next.served_name),
        ("source", current.source != next.source),
        ("digest", current.digest != next.digest),
        ("engine", current.engine != next.engine),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

fn loaded_document(loaded: &Loaded) -> LoadedDocument {
    let info = loaded.model.info();
    LoadedDocument {
        digest: loaded.digest.clone(),
        quantization: info.quantization.clone(),
        parameters: info.parameters,
        context_length: loaded.context_length,
        file_bytes: info.file_bytes,
        kv_bytes: loaded.kv_bytes,
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
