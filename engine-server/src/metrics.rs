//! The metrics of one engine-server: names, labels, buckets and the text page.
//!
//! Label values are bounded: a tenant is a known one (see [`crate::tenant`]), routes and phases are enums, a status is an
//! HTTP status code. Nothing here knows about requests or sequences; the layers above observe into [`Metrics`].
//! Counters are registered without `_total`: the text encoder appends it.

use std::{fmt, sync::Arc, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

mod buckets;
mod labels;
pub mod programs;

pub use labels::TenantLabels;
use programs::ProgramMetrics;

/// Content type of the page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Tenant label of requests without a known tenant: refused keys, health probes.
pub const NO_TENANT: &str = "__none__";
/// Tenant label of tenants past [`MAX_TENANT_LABELS`].
pub const OTHER_TENANT: &str = "__other__";
/// Tenants that get a label value of their own.
pub const MAX_TENANT_LABELS: usize = 1_000;

/// A histogram family whose buckets are fixed by a function.
pub type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;
/// A gauge that holds a fraction.
pub type RatioGauge = Gauge<f64, AtomicU64>;

/// Labels of a finished request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Name of a known tenant, or [`NO_TENANT`].
    pub tenant: String,
    /// Served name of the model.
    pub model: String,
    /// Which endpoint.
    pub route: Route,
    /// HTTP status code; 499 when the client went away first.
    pub status: u16,
}

/// Label of what belongs to a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModelLabels {
    /// Served name of the model.
    pub model: String,
}

/// Labels of a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PhaseLabels {
    /// Served name of the model.
    pub model: String,
    /// What the step did.
    pub phase: Phase,
}

/// Labels of the model that is served.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModelInfoLabels {
    /// Served name of the model.
    pub model: String,
    /// `general.architecture` of the file.
    pub architecture: String,
    /// Format that most weights have.
    pub quantization: String,
    /// Digest of the file, hex.
    pub sha256: String,
}

/// Labels of the program.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BuildLabels {
    /// Version of the crate.
    pub version: String,
}

/// Label of a caught panic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ComponentLabels {
    /// Where it was caught.
    pub component: Component,
}

/// Label of a refusal with a reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// Fixed name of the reason.
    pub reason: &'static str,
}

/// Labels of a request that did not keep a limit of its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LimitLabels {
    /// Name of a known tenant.
    pub tenant: String,
    /// Served name of the model.
    pub model: String,
    /// Name of the limit in the RealmTenant.
    pub limit: &'static str,
}

/// The endpoints, as label values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(
    non_camel_case_types,
    reason = "variants are label values, written as they appear on the page"
)]
pub enum Route {
    /// `POST /v1/chat/completions`
    chat_completions,
    /// `POST /v1/completions`
    completions,
    /// `POST /v1/responses`
    responses,
    /// `POST /v1/embeddings`
    embeddings,
    /// `POST /tokenize`
    tokenize,
    /// `POST /detokenize`
    detokenize,
    /// `GET /tokenizer_info`
    tokenizer_info,
    /// `GET /v1/models`
    models,
    /// `GET /v1/models/{id}`
    model,
    /// `GET /health`, `/livez`, `/readyz`
    health,
    /// `GET /` and what the page loads.
    page,
    /// Everything else.
    unknown,
}

impl Route {
    /// Whether a request to it counts against the limits of its tenant.
    pub fn is_limited(self) -> bool {
        match self {
            Self::chat_completions
            | Self::completions
            | Self::responses
            | Self::embeddings
            | Self::tokenize
            | Self::detokenize => true,
            Self::tokenizer_info
            | Self::models
            | Self::model
            | Self::health
            | Self::page
            | Self::unknown => false,
        }
    }
}

/// What a step does, as label values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(
    non_camel_case_types,
    reason = "variants are label values, written as they appear on the page"
)]
pub enum Phase {
    /// Prompt tokens only.
    prefill,
    /// One new token for each sequence.
    decode,
    /// Both in one step.
    mixed,
}

/// Where a panic was caught, as label values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(
    non_camel_case_types,
    reason = "variants are label values, written as they appear on the page"
)]
pub enum Component {
    /// A step of the engine.
    engine,
    /// A request handler.
    http,
}

/// Every metric of the process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Requests finished.
    pub requests: Family<RequestLabels, Counter>,
    /// Accept of the request to last byte of the response.
    pub request_duration: Histograms<TenantLabels>,
    /// Accept of the request to first output token.
    pub time_to_first_token: Histograms<TenantLabels>,
    /// Mean time per output token after the first, one sample per request.
    pub time_per_output_token: Histograms<TenantLabels>,
    /// Admission to first prefill step.
    pub queue_wait: Histograms<TenantLabels>,
    /// Gap between two output tokens of one stream.
    pub inter_token_latency: Histograms<ModelLabels>,
    /// Prompt tokens accepted.
    pub prompt_tokens: Family<TenantLabels, Counter>,
    /// Of those, tokens that the tenant had computed before.
    pub cached_prompt_tokens: Family<TenantLabels, Counter>,
    /// Output tokens delivered.
    pub output_tokens: Family<TenantLabels, Counter>,
    /// Tokens that were guessed.
    pub speculation_drafted: Family<TenantLabels, Counter>,
    /// Guessed tokens that became output.
    pub speculation_accepted: Family<TenantLabels, Counter>,
    /// Sequences in the running batch.
    pub requests_running: Family<TenantLabels, Gauge>,
    /// Sequences admitted and waiting.
    pub queue_depth: Family<TenantLabels, Gauge>,
    /// Requests refused before admission.
    pub rejections: Family<ReasonLabels, Counter>,
    /// Requests refused by a limit of their tenant.
    pub limit_refusals: Family<LimitLabels, Counter>,
    /// Failed authentications.
    pub auth_failures: Family<ReasonLabels, Counter>,
    /// Responses cut by the client.
    pub client_disconnects: Family<TenantLabels, Counter>,
    /// KV cache in use, 0 to 1.
    pub kv_cache_usage: Family<ModelLabels, RatioGauge>,
    /// Bytes of the KV cache that the running sequences of a tenant hold; a page that two of them share counts twice.
    pub kv_cache_bytes: Family<TenantLabels, Gauge>,
    /// Sequences whose pages were taken for others.
    pub preemptions: Family<TenantLabels, Counter>,
    /// Sequences that gave their place in the batch to a tenant below its share.
    pub places_yielded: Family<TenantLabels, Counter>,
    /// Tokens that the engine computed: prompts less what was cached, answers, and guesses whether right or wrong.
    pub computed_tokens: Family<TenantLabels, Counter>,
    /// A tenant's part of what the last steps computed, 0 to 1.
    pub batch_share: Family<TenantLabels, RatioGauge>,
    /// Tokens per step.
    pub batch_tokens: Histograms<PhaseLabels>,
    /// Time per step.
    pub engine_step: Histograms<PhaseLabels>,
    /// Always 1.
    pub model_info: Family<ModelInfoLabels, Gauge>,
    /// Size of the model file.
    pub model_size: Family<ModelLabels, Gauge>,
    /// Time to open the model and reserve the KV cache.
    pub model_load: Histograms<ModelLabels>,
    /// Open client connections.
    pub connections: Gauge,
    /// Requests that are not HTTP or not JSON.
    pub http_malformed: Family<ReasonLabels, Counter>,
    /// 1 after the signal to stop.
    pub draining: Gauge,
    /// Worker threads of the engine.
    pub cpu_threads: Gauge,
    /// Panics caught.
    pub panics: Family<ComponentLabels, Counter>,
    /// Tenants' programs.
    pub programs: ProgramMetrics,
    /// Tenants that share [`OTHER_TENANT`] for lack of a label of their own.
    pub tenants_overflow: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let mut metrics = Self::unregistered();
        metrics.register_requests(&mut registry);
        metrics.register_engine(&mut registry);
        metrics.register_process(&mut registry);
        metrics.programs.register(&mut registry);
        metrics.registry = Arc::new(registry);
        metrics
    }

    /// The page in OpenMetrics text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        encode(&mut page, &self.registry)?;
        Ok(page)
    }

    /// Creates the series of a tenant at zero, so that rates over them start at the first request.
    pub fn attach_tenant(&self, labels: &TenantLabels) {
        drop(self.prompt_tokens.get_or_create(labels));
        drop(self.cached_prompt_tokens.get_or_create(labels));
        drop(self.output_tokens.get_or_create(labels));
        drop(self.speculation_drafted.get_or_create(labels));
        drop(self.speculation_accepted.get_or_create(labels));
        drop(self.requests_running.get_or_create(labels));
        drop(self.computed_tokens.get_or_create(labels));
        drop(self.places_yielded.get_or_create(labels));
        drop(self.queue_depth.get_or_create(labels));
        drop(self.client_disconnects.get_or_create(labels));
    }

    /// Creates the series of a model at zero.
    pub fn attach_model(&self, model: &str) {
        let labels = ModelLabels { model: model.to_owned() };
        drop(self.kv_cache_usage.get_or_create(&labels));
        drop(self.inter_token_latency.get_or_create(&labels));
    }

    /// Counts a caught panic.
    pub fn panic_caught(&self, component: Component) {
        self.panics.get_or_create(&ComponentLabels { component }).inc();
    }

    fn unregistered() -> Self {
        Self {
            registry: Arc::default(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(buckets::request_seconds),
            time_to_first_token: Family::new_with_constructor(buckets::request_seconds),
            time_per_output_token: Family::new_with_constructor(buckets::token_seconds),
            queue_wait: Family::new_with_constructor(buckets::request_seconds),
            inter_token_latency: Family::new_with_constructor(buckets::token_seconds),
            prompt_tokens: Family::default(),
            cached_prompt_tokens: Family::default(),
            output_tokens: Family::default(),
            speculation_drafted: Family::default(),
            speculation_accepted: Family::default(),
            requests_running: Family::default(),
            queue_depth: Family::default(),
            rejections: Family::default(),
            limit_refusals: Family::default(),
            auth_failures: Family::default(),
            client_disconnects: Family::default(),
            kv_cache_usage: Family::default(),
            kv_cache_bytes: Family::default(),
            preemptions: Family::default(),
            places_yielded: Family::default(),
            computed_tokens: Family::default(),
            batch_share: Family::default(),
            batch_tokens: Family::new_with_constructor(buckets::tokens),
            engine_step: Family::new_with_constructor(buckets::token_seconds),
            model_info: Family::default(),
            model_size: Family::default(),
            model_load: Family::new_with_constructor(buckets::request_seconds),
            connections: Gauge::default(),
            http_malformed: Family::default(),
            draining: Gauge::default(),
            cpu_threads: Gauge::default(),
            panics: Family::default(),
            programs: ProgramMetrics::default(),
            tenants_overflow: Counter::default(),
        }
    }

    #[rustfmt::skip]
    fn register_requests(&self, r: &mut Registry) {
        r.register("realm_requests", "Requests finished, by HTTP status code", self.requests.clone());
        r.register("realm_request_duration_seconds", "Accept of the request to last byte of the response", self.request_duration.clone());
        r.register("realm_time_to_first_token_seconds", "Accept of the request to first output token", self.time_to_first_token.clone());
        r.register("realm_time_per_output_token_seconds", "Mean time per output token after the first, one sample per request", self.time_per_output_token.clone());
        r.register("realm_queue_wait_seconds", "Time between admission and first prefill step", self.queue_wait.clone());
        r.register("realm_inter_token_latency_seconds", "Gap between two output tokens of one stream", self.inter_token_latency.clone());
        r.register("realm_prompt_tokens", "Prompt tokens accepted", self.prompt_tokens.clone());
        r.register("realm_cached_prompt_tokens", "Prompt tokens that the tenant had computed before", self.cached_prompt_tokens.clone());
        r.register("realm_output_tokens", "Output tokens delivered to clients", self.output_tokens.clone());
        r.register("realm_speculation_drafted_tokens", "Tokens guessed by speculative decoding", self.speculation_drafted.clone());
        r.register("realm_speculation_accepted_tokens", "Guessed tokens that became output", self.speculation_accepted.clone());
        r.register("realm_requests_running", "Sequences in the running batch", self.requests_running.clone());
        r.register("realm_queue_depth", "Sequences admitted and waiting", self.queue_depth.clone());
        r.register("realm_rejections", "Requests refused before admission", self.rejections.clone());
        r.register("realm_limit_refusals", "Requests refused by a limit of their tenant", self.limit_refusals.clone());
        r.register("realm_auth_failures", "Failed authentications", self.auth_failures.clone());
        r.register("realm_client_disconnects", "Responses cut by the client before the finish reason", self.client_disconnects.clone());
        r.register("realm_http_malformed", "Requests refused while parsing", self.http_malformed.clone());
    }

    #[rustfmt::skip]
    fn register_engine(&self, r: &mut Registry) {
        r.register("realm_kv_cache_usage_ratio", "KV cache in use, 0 to 1", self.kv_cache_usage.clone());
        r.register("realm_kv_cache_bytes", "Bytes of the KV cache that running sequences hold, shared pages counted for each", self.kv_cache_bytes.clone());
        r.register("realm_preemptions", "Sequences that gave their KV pages up and began again later", self.preemptions.clone());
        r.register("realm_places_yielded", "Sequences that gave their place in the batch to a tenant below its share and went on later", self.places_yielded.clone());
        r.register("realm_computed_tokens", "Tokens computed: prompts less what was cached, answers, and guesses whether right or wrong", self.computed_tokens.clone());
        r.register("realm_batch_share_ratio", "A tenant's part of what the last 64 steps computed, by cost, 0 to 1", self.batch_share.clone());
        r.register("realm_batch_tokens", "Tokens per engine step", self.batch_tokens.clone());
        r.register("realm_engine_step_seconds", "Engine step time", self.engine_step.clone());
        r.register("realm_model_info", "Always 1", self.model_info.clone());
        r.register("realm_model_size_bytes", "Size of the mapped GGUF file", self.model_size.clone());
        r.register("realm_model_load_seconds", "Time to open the model and reserve the KV cache", self.model_load.clone());
        r.register("realm_cpu_threads", "Worker threads of the engine", self.cpu_threads.clone());
    }

    #[rustfmt::skip]
    fn register_process(&self, r: &mut Registry) {
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION").to_owned() }).set(1);
        r.register("realm_build_info", "Always 1", build);
        r.register("realm_http_connections", "Open client connections", self.connections.clone());
        r.register("realm_draining", "1 after the signal to stop", self.draining.clone());
        r.register("realm_panics", "Panics caught", self.panics.clone());
        r.register("realm_metrics_tenants_overflow", "Tenants under tenant=__other__ for lack of a series slot", self.tenants_overflow.clone());
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Observes a duration in seconds.
pub fn observe_seconds<L>(family: &Histograms<L>, labels: &L, duration: Duration)
where
    L: Clone + std::hash::Hash + Eq,
{
    family.get_or_create(labels).observe(duration.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_total_once() {
        let metrics = Metrics::new();
        metrics
            .requests
            .get_or_create(&RequestLabels {
                tenant: "t".into(),
                model: "m".into(),
                route: Route::chat_completions,
                status: 200,
            })
            .inc();
        let page = metrics.encode().unwrap();
        let line = "realm_requests_total{tenant=\"t\",model=\"m\",route=\"chat_completions\",status=\"200\"} 1\n";
        assert!(page.contains(line), "{page}");
        assert!(!page.contains("_total_total"), "{page}");
        assert!(page.ends_with("# EOF\n"), "{page}");
    }

    #[test]
    fn the_slo_edge_of_first_token_exists() {
        let metrics = Metrics::new();
        let labels = TenantLabels { tenant: "t".into(), model: "m".into() };
        observe_seconds(&metrics.time_to_first_token, &labels, Duration::from_millis(150));
        let page = metrics.encode().unwrap();
        assert!(
            page.contains(
                "realm_time_to_first_token_seconds_bucket{le=\"0.2\",tenant=\"t\",model=\"m\"} 1"
            ),
            "{page}"
        );
    }
}
