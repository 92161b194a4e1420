//! What a tenant may use at most. Each pod of a model counts by itself.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// Requests of a tenant that are answered at the same time, when the manifest does not say.
pub const DEFAULT_MAX_CONCURRENT: u32 = 4;
/// Requests of a tenant that wait for their turn, when the manifest does not say.
pub const DEFAULT_MAX_QUEUED: u32 = 32;
/// Largest limit of a minute.
pub const PER_MINUTE_MAX: u32 = 1_000_000_000;
/// Largest limit of a day.
pub const PER_DAY_MAX: u64 = 1_000_000_000_000;
/// Largest limit of requests at the same time.
pub const CONCURRENT_MAX: u32 = 1024;
/// Largest limit of tokens of one request.
pub const TOKENS_MAX: u32 = 1_048_576;

const PER_MINUTE_RULE: &str = "self >= 1 && self <= 1000000000";
pub(crate) const PER_MINUTE_MESSAGE: &str = "a limit per minute must be from 1 to 1000000000: leave it out for no limit, or set spec.suspend to refuse everything";
const PER_DAY_RULE: &str = "self >= 1 && self <= 1000000000000";
pub(crate) const PER_DAY_MESSAGE: &str = "tokensPerDay must be from 1 to 1000000000000: leave it out for no limit, or set spec.suspend to refuse everything";
const CONCURRENT_RULE: &str = "self >= 1 && self <= 1024";
pub(crate) const CONCURRENT_MESSAGE: &str =
    "maxConcurrent and maxQueued must be from 1 to 1024: leave them out for the defaults, 4 and 32";
const TOKENS_RULE: &str = "self >= 1 && self <= 1048576";
pub(crate) const TOKENS_MESSAGE: &str = "maxContextTokens and maxOutputTokens must be from 1 to 1048576: leave them out to let the model decide";
const ANSWER_RULE: &str = "!has(self.maxOutputTokens) || !has(self.maxContextTokens) || self.maxOutputTokens < self.maxContextTokens";
pub(crate) const ANSWER_MESSAGE: &str = "limits.maxOutputTokens must be less than limits.maxContextTokens, which counts prompt and answer together: lower one or raise the other";
/// Not nothing, whatever its unit, and no thousandths of bytes.
const KV_BYTES_RULE: &str =
    "type(self) == int ? self >= 1 : !self.matches('^[0.]*[A-Za-z]*$|^0+[.][0-9]+$|m$')";
pub(crate) const KV_BYTES_MESSAGE: &str = "limits.kvBytes must be at least one byte: give an amount such as 256Mi, or leave it out for no limit";

/// What a tenant may use of a model at most. Each pod of the model counts by itself.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(ANSWER_RULE).message(ANSWER_MESSAGE))]
pub struct TenantLimits {
    /// Requests in a minute. A tenant that was quiet may send a minute's worth at once. Left out, there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(PER_MINUTE_RULE).message(PER_MINUTE_MESSAGE))]
    pub requests_per_minute: Option<u32>,

    /// Prompt tokens in a minute, counted when a prompt has been read into tokens. Left out, there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(PER_MINUTE_RULE).message(PER_MINUTE_MESSAGE))]
    pub input_tokens_per_minute: Option<u32>,

    /// Tokens of answers in a minute. A request that says its maximum sets that many aside until it ends. Left out,
    /// there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(PER_MINUTE_RULE).message(PER_MINUTE_MESSAGE))]
    pub output_tokens_per_minute: Option<u32>,

    /// Tokens of prompts and answers together, in a day that begins at 00:00 UTC. Left out, there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(PER_DAY_RULE).message(PER_DAY_MESSAGE))]
    pub tokens_per_day: Option<u64>,

    /// Requests that are answered at the same time; more wait.
    #[serde(default = "default_max_concurrent")]
    #[x_kube(validation = Rule::new(CONCURRENT_RULE).message(CONCURRENT_MESSAGE))]
    pub max_concurrent: u32,

    /// Requests that wait for their turn; more are refused.
    #[serde(default = "default_max_queued")]
    #[x_kube(validation = Rule::new(CONCURRENT_RULE).message(CONCURRENT_MESSAGE))]
    pub max_queued: u32,

    /// Tokens of one request, prompt and answer together. Left out, the model's context decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(TOKENS_RULE).message(TOKENS_MESSAGE))]
    pub max_context_tokens: Option<u32>,

    /// Tokens of one answer. A request that asks for more is refused; one that does not say gets at most this many.
    /// Left out, the model's context decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(TOKENS_RULE).message(TOKENS_MESSAGE))]
    pub max_output_tokens: Option<u32>,

    /// Memory of the KV cache that the tenant's running requests may hold, such as 256Mi. Left out, there is no limit
    /// but the cache itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(KV_BYTES_RULE).message(KV_BYTES_MESSAGE))]
    pub kv_bytes: Option<Quantity>,
}

fn default_max_concurrent() -> u32 {
    DEFAULT_MAX_CONCURRENT
}

fn default_max_queued() -> u32 {
    DEFAULT_MAX_QUEUED
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self {
            requests_per_minute: None,
            input_tokens_per_minute: None,
            output_tokens_per_minute: None,
            tokens_per_day: None,
            max_concurrent: DEFAULT_MAX_CONCURRENT,
            max_queued: DEFAULT_MAX_QUEUED,
            max_context_tokens: None,
            max_output_tokens: None,
            kv_bytes: None,
        }
    }
}
