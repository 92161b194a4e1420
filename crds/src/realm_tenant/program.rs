//! A tenant's program: where its component comes from, what it may reach, and its bounds.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::realm_model::source::{SHA256_MESSAGE, SHA256_RULE, URL_MESSAGE, URL_RULE};

/// Memory of an instance in MiB, at most.
pub const MEMORY_MIB_MAX: u32 = 64;
/// Milliseconds of any deadline, at most.
pub const DEADLINE_MILLIS_MAX: u32 = 1000;
/// Milliseconds of a minute.
pub const MINUTE_MILLIS_MAX: u32 = 60_000;
/// Seconds of an agent's run, at most.
pub const RUN_SECONDS_MAX: u32 = 3600;

const GRANTS_RULE: &str = "self.all(a, self.exists_one(b, a == b))";
pub(crate) const GRANTS_MESSAGE: &str = "grants must be unique: remove the one given twice";
const LIMITS_RULE: &str = "self.memoryMib >= 1 && self.memoryMib <= 64 && self.hookMillis >= 1 && self.hookMillis <= 1000 && self.tokenMillis >= 1 && self.tokenMillis <= 1000 && self.requestMillis >= 1 && self.requestMillis <= 60000 && self.minuteMillis >= 1 && self.minuteMillis <= 60000 && self.runMillis >= 1 && self.runMillis <= 60000 && self.runSeconds >= 1 && self.runSeconds <= 3600";
pub(crate) const LIMITS_MESSAGE: &str = "memoryMib must be 1 to 64, hookMillis and tokenMillis 1 to 1000, requestMillis, minuteMillis and runMillis 1 to 60000, runSeconds 1 to 3600";

/// A WebAssembly component that runs on the tenant's own requests, beside the model. See docs/sandbox.md.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantProgram {
    /// Address of the component, http:// or https://; at most 2 MiB.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new(URL_RULE).message(URL_MESSAGE))]
    pub url: String,

    /// SHA-256 of the component, as 64 lower-case hexadecimal digits.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(SHA256_RULE).message(SHA256_MESSAGE))]
    pub sha256: String,

    /// What the program may reach. It is refused when it imports anything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    #[x_kube(validation = Rule::new(GRANTS_RULE).message(GRANTS_MESSAGE))]
    pub grants: Vec<Grant>,

    /// What becomes of a request when the program fails: Closed ends it with an error, Open goes on without the program.
    #[serde(default)]
    pub failure_policy: ProgramFailurePolicy,

    /// Bounds of the program.
    #[serde(default)]
    #[x_kube(validation = Rule::new(LIMITS_RULE).message(LIMITS_MESSAGE))]
    pub limits: ProgramLimits,
}

/// Something that a program may reach.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
pub enum Grant {
    /// Lines in the server's log, under the tenant's name.
    Log,
    /// Counters of the tenant.
    Metrics,
    /// The time, in milliseconds.
    Clock,
    /// Numbers that the request's seed determines.
    Random,
    /// The model's tokenizer.
    Tokenizer,
    /// Keys and values of the tenant, in the memory of the pod.
    Store,
    /// The model, for a program that drives generation itself.
    Inference,
}

/// What becomes of a request whose program fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum ProgramFailurePolicy {
    /// The request ends with an error.
    #[default]
    Closed,
    /// The request goes on without the program.
    Open,
}

/// Bounds of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProgramLimits {
    /// Memory of an instance in MiB.
    pub memory_mib: u32,
    /// Milliseconds of starting, of on-request and of on-response.
    pub hook_millis: u32,
    /// Milliseconds of one call of on-tokens.
    pub token_millis: u32,
    /// Milliseconds of all hooks of one request.
    pub request_millis: u32,
    /// Milliseconds of all hooks of the tenant within a minute, in each pod.
    pub minute_millis: u32,
    /// Milliseconds of an agent's own work in one run, without what it waits for the model.
    pub run_millis: u32,
    /// Seconds of one run of an agent, with the model.
    pub run_seconds: u32,
}

impl Default for ProgramLimits {
    fn default() -> Self {
        Self {
            memory_mib: 16,
            hook_millis: 5,
            token_millis: 1,
            request_millis: 100,
            minute_millis: 6000,
            run_millis: 100,
            run_seconds: 120,
        }
    }
}

impl ProgramLimits {
    /// Whether all of them lie within their bounds.
    #[must_use]
    pub fn are_in_bounds(&self) -> bool {
        let deadline = |millis: u32| (1..=DEADLINE_MILLIS_MAX).contains(&millis);
        let total = |millis: u32| (1..=MINUTE_MILLIS_MAX).contains(&millis);
        (1..=MEMORY_MIB_MAX).contains(&self.memory_mib)
            && deadline(self.hook_millis)
            && deadline(self.token_millis)
            && total(self.request_millis)
            && total(self.minute_millis)
            && total(self.run_millis)
            && (1..=RUN_SECONDS_MAX).contains(&self.run_seconds)
    }
}
