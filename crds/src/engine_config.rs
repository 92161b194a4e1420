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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantEntry {
    /// Namespace of the RealmTenant.
    pub namespace: String,
    /// Name of the RealmTenant.
    pub name: String,
    /// Whether all its requests are refused.
    pub suspended: bool,
    /// Its API keys.
    pub keys: Vec<KeyEntry>,
}

/// One API key, as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyEntry {
    /// Name of the key.
    pub name: String,
    /// SHA-256 of the key as lower-case hexadecimal digits.
    pub sha256: String,
}
