//! What the host lends to guests, as traits: the crate knows no engine, no server and no disk.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::wire::{
    Candidate, Constraint, Finish, InferenceFailure, LogLevel, Message, Sampling, StoreFailure,
};

/// The model's tokenizer.
pub trait Tokenizer: Send + Sync {
    /// Tokens of a text; special tokens are not read from it.
    fn encode(&self, text: &str) -> Vec<u32>;
    /// Text of tokens, all of which are in the vocabulary.
    fn decode(&self, tokens: &[u32]) -> Result<String, String>;
    /// Tokens that the model knows.
    fn vocabulary_size(&self) -> u32;
}

/// One tenant's keys and values. The object is the tenant: no name of another reaches it.
pub trait KeyValues: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreFailure>;
    /// Sets a value; `None` keeps it until it is deleted.
    fn set(&self, key: &str, value: Vec<u8>, keep: Option<Duration>) -> Result<(), StoreFailure>;
    /// Adds to a whole number.
    fn add(&self, key: &str, amount: i64) -> Result<i64, StoreFailure>;
    /// Forgets a key.
    fn delete(&self, key: &str) -> Result<(), StoreFailure>;
}

/// One tenant's log.
pub trait Log: Send + Sync {
    /// A line, already within the request's bytes.
    fn emit(&self, level: LogLevel, message: &str);
}

/// One tenant's counters.
pub trait Metrics: Send + Sync {
    /// Adds to a counter; the implementation bounds the names.
    fn add(&self, name: &str, value: f64);
}

/// Time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970; guests see no finer time.
    fn now_ms(&self) -> u64;
    /// Time since some moment in the past, never going back.
    fn elapsed(&self) -> Duration;
}

/// The model, for one request of an agent. Dropping it ends its contexts.
pub trait Inference: Send {
    /// A context without tokens.
    fn open(&mut self) -> Result<u64, InferenceFailure>;
    /// Tokens of a text as the next thing that the context reads.
    fn encode(&self, context: u64, text: &str) -> Vec<u32>;
    /// Tokens of a conversation, up to where the next answer begins.
    fn render(&self, messages: &[Message]) -> Result<Vec<u32>, InferenceFailure>;
    /// Appends tokens; returns the context's length.
    fn append(&mut self, context: u64, tokens: &[u32]) -> Result<u32, InferenceFailure>;
    /// A context that shares what another has read.
    fn fork(&mut self, context: u64) -> Result<u64, InferenceFailure>;
    /// Forgets tokens past a length.
    fn truncate(&mut self, context: u64, length: u32) -> Result<(), InferenceFailure>;
    /// Tokens that the context has read.
    fn length(&self, context: u64) -> u32;
    /// Generates a span.
    fn generate(&mut self, context: u64, how: SpanRequest) -> Result<Span, InferenceFailure>;
    /// The likeliest next tokens.
    fn top(&mut self, context: u64, count: u32) -> Result<Vec<Candidate>, InferenceFailure>;
    /// Log-probabilities of tokens as the continuation.
    fn score(&mut self, context: u64, tokens: &[u32]) -> Result<f32, InferenceFailure>;
    /// Ends a context.
    fn close(&mut self, context: u64);
    /// Sends text to the client.
    fn emit(&mut self, text: &str) -> Result<(), InferenceFailure>;
    /// Whether the client has gone.
    fn cancelled(&self) -> bool;
}

/// How a span is generated.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanRequest {
    /// Tokens at most.
    pub max_tokens: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Form of the span.
    pub constraint: Option<Constraint>,
    /// Strings that end it.
    pub stop: Vec<String>,
}

/// What was generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// As text.
    pub text: String,
    /// As tokens.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub why: Finish,
}

/// What one tenant's programs reach, as far as it is granted.
#[derive(Clone)]
pub struct Host {
    /// The model's tokenizer; its vocabulary also bounds the tokens that hooks may name.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// Keys and values.
    pub store: Arc<dyn KeyValues>,
    /// Log.
    pub log: Arc<dyn Log>,
    /// Counters.
    pub metrics: Arc<dyn Metrics>,
    /// Time, also of the breaker and the budget of a minute.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Host").finish_non_exhaustive()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
