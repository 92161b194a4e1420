//! What was measured, as it is printed: the JSON is this type.

use std::num::NonZeroUsize;

use realm_engine::engine::{KvType, Model, ModelInfo, PackedState};
use serde::Serialize;

use super::{
    machine::{CpuTime, Disturbance, Memory, cpu_name},
    perplexity::Perplexity,
    prefix::SharedPrefix,
    spread::Spread,
};

/// Everything of one run of the command.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// What was run.
    pub model: ModelFacts,
    /// On what, and how.
    pub conditions: Conditions,
    /// Until the model was open.
    pub load_seconds: f64,
    /// From the start of loading until one token was computed.
    pub first_token_seconds: f64,
    /// One sequence's prompt.
    pub prefill: Option<SingleTest>,
    /// One sequence's tokens, one by one.
    pub decode: Option<SingleTest>,
    /// Several sequences together.
    pub batched: Vec<Batched>,
    /// Requests that begin alike.
    pub shared_prefix: Option<SharedPrefix>,
    /// Of a text.
    pub perplexity: Option<Perplexity>,
    /// Reserved for keys and values in the tests of one sequence.
    pub kv_bytes: usize,
    /// Of the process, after the tests of one sequence.
    pub memory: Option<Memory>,
    /// The most that the process ever held in memory.
    pub peak_bytes: Option<u64>,
}

/// What the file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelFacts {
    /// Its name.
    pub name: String,
    /// The family.
    pub architecture: String,
    /// The format of most weights.
    pub quantization: String,
    /// Number of weights.
    pub parameters: u64,
    /// Size of the file.
    pub file_bytes: u64,
}

impl From<&ModelInfo> for ModelFacts {
    fn from(info: &ModelInfo) -> Self {
        Self {
            name: info.name.clone(),
            architecture: info.architecture.clone(),
            quantization: info.quantization.clone(),
            parameters: info.parameters,
            file_bytes: info.file_bytes,
        }
    }
}

/// On what it ran and who disturbed it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Conditions {
    /// The version of Realm.
    pub version: &'static str,
    /// What the CPU calls itself.
    pub cpu: String,
    /// Threads that computed.
    pub threads: usize,
    /// The inner loops in use.
    pub kernels: &'static str,
    /// How keys and values were stored.
    pub kv_type: &'static str,
    /// Where the packed weights were.
    pub packed: String,
    /// What others took meanwhile; `None` where the operating system does not say.
    pub disturbance: Option<Disturbance>,
}

impl Conditions {
    /// As of now, with what happened since `before`.
    pub(super) fn new(
        threads: NonZeroUsize,
        model: &Model,
        kv_type: KvType,
        before: Option<CpuTime>,
    ) -> Self {
        let disturbance = CpuTime::now().zip(before).and_then(|(now, before)| now.since(before));
        let kv_type = match kv_type {
            KvType::F16 => "f16",
            KvType::F32 => "f32",
            KvType::Q8_0 => "q8_0",
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            cpu: cpu_name(),
            threads: threads.get(),
            kernels: model.kernels().name(),
            kv_type,
            packed: packed(model.packed()),
            disturbance,
        }
    }
}

fn packed(state: &PackedState) -> String {
    match state {
        PackedState::Unpacked => "nowhere".to_owned(),
        PackedState::Memory(None) => "memory".to_owned(),
        PackedState::Memory(Some(reason)) => format!("memory, not a file: {reason}"),
        PackedState::Found(path) => format!("{}, found", path.display()),
        PackedState::Made(path) => format!("{}, made", path.display()),
    }
}

/// A test of one sequence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SingleTest {
    /// Tokens of a run.
    pub tokens: usize,
    /// Over the repetitions.
    pub tokens_per_second: Spread,
    /// The whole run; of a prompt: until the first new token's logits.
    pub seconds: Spread,
}

impl SingleTest {
    /// From the seconds of each repetition.
    pub(super) fn new(tokens: usize, seconds: &[f64]) -> Option<Self> {
        let rates: Vec<f64> = seconds.iter().map(|seconds| tokens as f64 / seconds).collect();
        let (tokens_per_second, seconds) = (Spread::of(&rates)?, Spread::of(seconds)?);
        Some(Self { tokens, tokens_per_second, seconds })
    }
}

/// A test of several sequences together.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Batched {
    /// How many.
    pub sequences: usize,
    /// Prompt tokens of each.
    pub prompt_tokens: usize,
    /// Decoded tokens of each.
    pub tokens: usize,
    /// All prompts' tokens by all their time.
    pub prefill_tokens_per_second: Option<Spread>,
    /// All sequences' decoded tokens by the time of the decode.
    pub tokens_per_second: Option<Spread>,
    /// Reserved for keys and values.
    pub kv_bytes: usize,
}
