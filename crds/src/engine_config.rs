//! The two files that the operator writes and the engine-server reads: `engine.json` and `tenants.json`.
//!
//! One type for both ends. Everything in them is resolved: no defaults are left to guess, no API key is inside.

use serde::{Deserialize, Serialize};

use crate::{
    names::SOURCE_MOUNT,
    realm_model::{
        HttpSource, HuggingFaceSource, ImageSource, KvCacheType, PvcSource, Speculation,
        settings::DEFAULT_PREFILL_TOKENS,
    },
    realm_tenant::{
        DEFAULT_WEIGHT, TenantClass,
        limits::{DEFAULT_MAX_CONCURRENT, DEFAULT_MAX_QUEUED},
        program::TenantProgram,
    },
};

/// What one engine-server serves, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineConfig {
    /// Namespace of the RealmModel.
    pub namespace: String,
    /// Name of the RealmModel.
    pub resource: String,
    /// Generation of the RealmModel at which these settings last changed; reported by the health document.
    pub generation: i64,
    /// Name by which clients ask for the model.
    pub served_name: String,
    /// More such names.
    pub aliases: Vec<String>,
    /// Where the model's file comes from.
    pub source: ArtifactSource,
    /// SHA-256 that the file must have, as lower-case hexadecimal digits, when the manifest gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Settings of the engine.
    pub engine: EngineSettings,
    /// Whether requests without an API key are answered.
    pub anonymous: bool,
    /// Seconds that open answers may take to finish after the order to stop.
    pub drain_timeout_seconds: u32,
}

/// Where a model's file comes from: exactly one source. Its JSON has the form of the manifest's `source`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ArtifactSource {
    /// A file of a repository on Hugging Face.
    HuggingFace(HuggingFaceSource),
    /// A file behind a URL.
    Http(HttpSource),
    /// A file on a mounted claim.
    Pvc(PvcSource),
    /// A file in a mounted image.
    Image(ImageSource),
}

impl ArtifactSource {
    /// Path of the file in the pod when the source is mounted there, `None` when it must be downloaded.
    #[must_use]
    pub fn mounted_file(&self) -> Option<String> {
        match self {
            Self::HuggingFace(_) | Self::Http(_) => None,
            Self::Pvc(PvcSource { path, .. }) | Self::Image(ImageSource { path, .. }) => {
                Some(format!("{SOURCE_MOUNT}/{path}"))
            }
        }
    }
}

/// Settings of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineSettings {
    /// Tokens of one sequence; `None` leaves it to the model, at most 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u32>,
    /// Sequences generated at the same time.
    pub parallel: u32,
    /// Threads that compute; `None` means one for each CPU of the pod or machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Tokens that one step computes at most.
    pub batch_tokens: u32,
    /// Prompt tokens that one step computes at most while other sequences are answering.
    #[serde(default = "default_prefill_tokens")]
    pub prefill_tokens: u32,
    /// How keys and values are stored.
    #[serde(default)]
    pub kv_cache_type: KvCacheType,
    /// Tokens of the KV cache, of all sequences together; `None` lets each fill its context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_tokens: Option<u32>,
    /// Guessing of the next tokens.
    #[serde(default)]
    pub speculation: Speculation,
}

/// For configurations that an older operator wrote.
fn default_prefill_tokens() -> u32 {
    DEFAULT_PREFILL_TOKENS
}

/// Who may use the model. Holds hashes of API keys, never keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantTable {
    /// Hash of the content; reported by the health document.
    pub version: String,
    /// The tenants, sorted by namespace and name.
    pub tenants: Vec<TenantEntry>,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantEntry {
    /// Namespace of the RealmTenant.
    pub namespace: String,
    /// Name of the RealmTenant.
    pub name: String,
    /// Whether all its requests are refused.
    pub suspended: bool,
    /// Share of the machine among tenants that compete for it.
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// How urgent its requests are.
    #[serde(default)]
    pub class: TenantClass,
    /// What it may use at most.
    #[serde(default)]
    pub limits: LimitsEntry,
    /// Its API keys.
    pub keys: Vec<KeyEntry>,
    /// Its program; in the form of the manifest's `program`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<TenantProgram>,
}

/// For tables that an older operator wrote.
fn default_weight() -> u32 {
    DEFAULT_WEIGHT
}

/// What a tenant may use at most; `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitsEntry {
    /// Requests in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Prompt tokens in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<u32>,
    /// Tokens of answers in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<u32>,
    /// Tokens of prompts and answers in a day of UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// Requests answered at the same time. Written out also when there is no limit: left out, it has a default.
    pub max_concurrent: Option<u32>,
    /// Requests that wait for their turn; written out as well.
    pub max_queued: Option<u32>,
    /// Tokens of one request, prompt and answer together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_context_tokens: Option<u32>,
    /// Tokens of one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Bytes of the KV cache that its running requests may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_bytes: Option<u64>,
}

impl LimitsEntry {
    /// No limits at all: for whoever calls where no tenants are kept apart.
    pub const NONE: Self = Self {
        requests_per_minute: None,
        input_tokens_per_minute: None,
        output_tokens_per_minute: None,
        tokens_per_day: None,
        max_concurrent: None,
        max_queued: None,
        max_context_tokens: None,
        max_output_tokens: None,
        kv_bytes: None,
    };
}

/// What a manifest that gives no limits resolves to.
impl Default for LimitsEntry {
    fn default() -> Self {
        Self {
            max_concurrent: Some(DEFAULT_MAX_CONCURRENT),
            max_queued: Some(DEFAULT_MAX_QUEUED),
            ..Self::NONE
        }
    }
}

/// One API key, as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyEntry {
    /// Name of the key.
    pub name: String,
    /// SHA-256 of the key as lower-case hexadecimal digits.
    pub sha256: String,
    /// Time after which it is refused, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}
