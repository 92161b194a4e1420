//! Values as they cross the boundary: the Rust side of `engine-server/wit`. What a guest returns is parsed further before
//! anybody uses it.

use wasmtime::component::{ComponentType, Lift, Lower, flags};

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

/// What the model shall continue.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Prompt {
    /// Text without a template.
    #[component(name = "text")]
    Text(String),
    /// A conversation.
    #[component(name = "chat")]
    Chat(Vec<Message>),
    /// Tokens.
    #[component(name = "tokens")]
    Tokens(Vec<u32>),
}

/// What a guest is told of a request.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lower)]
#[component(record)]
pub struct Request {
    /// Id of the request.
    pub id: String,
    /// Name under which the model is served.
    pub model: String,
    /// The tenant.
    pub tenant: String,
    /// `chat` or `completions`.
    pub endpoint: String,
    /// Headers that the tenant's grants let through.
    pub headers: Vec<(String, String)>,
    /// Tokens of the answer, at most.
    #[component(name = "max-tokens")]
    pub max_tokens: u32,
    /// Seed of the request.
    pub seed: u64,
}

/// How tokens are chosen; `None` leaves what the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Default, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Sampling {
    /// Temperature.
    pub temperature: Option<f32>,
    /// Nucleus.
    #[component(name = "top-p")]
    pub top_p: Option<f32>,
    /// Candidates.
    #[component(name = "top-k")]
    pub top_k: Option<u32>,
    /// Least share of the best candidate's probability.
    #[component(name = "min-p")]
    pub min_p: Option<f32>,
}

/// Form of an answer.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Constraint {
    /// A JSON schema.
    #[component(name = "json-schema")]
    JsonSchema(String),
    /// A regular expression.
    #[component(name = "regex")]
    Regex(String),
    /// A Lark grammar.
    #[component(name = "lark")]
    Lark(String),
}

/// Text to look for.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Trigger {
    /// Text or regular expression.
    pub pattern: String,
    /// Which of the two.
    #[component(name = "is-regex")]
    pub is_regex: bool,
}

// Hooks that a request calls.
flags! {
    Hooks {
        #[component(name = "tokens")]
        const TOKENS;
        #[component(name = "logits")]
        const LOGITS;
        #[component(name = "response")]
        const RESPONSE;
    }
}

/// A plan as the guest wrote it.
#[derive(Debug, Clone, PartialEq, ComponentType, Lift)]
#[component(record)]
pub(crate) struct RawPlan {
    pub(crate) prompt: Option<Prompt>,
    pub(crate) route: Option<String>,
    pub(crate) sampling: Sampling,
    #[component(name = "max-tokens")]
    pub(crate) max_tokens: Option<u32>,
    pub(crate) stop: Vec<String>,
    pub(crate) bias: Vec<(u32, f32)>,
    pub(crate) constraint: Option<Constraint>,
    pub(crate) redact: Vec<Trigger>,
    pub(crate) redaction: String,
    pub(crate) wake: Vec<Trigger>,
    pub(crate) subscribe: Hooks,
    pub(crate) every: u32,
    pub(crate) top: u32,
}

/// A refusal as the guest wrote it.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub(crate) struct RawReject {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Finish {
    /// The model or a stop string ended it.
    #[component(name = "stop")]
    Stop,
    /// It reached its length.
    #[component(name = "length")]
    Length,
    /// Its content was not to be sent.
    #[component(name = "filtered")]
    Filtered,
}

/// What a request has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ComponentType, Lower)]
#[component(record)]
pub struct Usage {
    /// Tokens of the prompt.
    #[component(name = "prompt-tokens")]
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    #[component(name = "completion-tokens")]
    pub completion_tokens: u32,
    /// Time in hooks.
    #[component(name = "hook-micros")]
    pub hook_micros: u64,
}

/// Tokens that wait for a decision.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lower)]
#[component(record)]
pub struct Batch {
    /// Index of the first of them in the answer.
    pub first: u32,
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Their text.
    pub text: String,
    /// Wake trigger that matched.
    pub woke: Option<u32>,
}

/// A decision on tokens as the guest wrote it.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum RawAction {
    #[component(name = "pass")]
    Pass,
    #[component(name = "replace")]
    Replace(String),
    #[component(name = "hold")]
    Hold,
    #[component(name = "inject")]
    Inject(Vec<u32>),
    #[component(name = "rewind")]
    Rewind(u32),
    #[component(name = "stop")]
    Stop(Finish),
}

/// Where in the answer a token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Step {
    /// Tokens of the answer so far.
    pub position: u32,
    /// The last token.
    pub last: u32,
    /// Entropy of the candidates' distribution, in nats.
    pub entropy: f32,
}

/// A decision on candidates as the guest wrote it.
#[derive(Debug, Clone, PartialEq, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum RawDecision {
    #[component(name = "pass")]
    Pass,
    #[component(name = "pick")]
    Pick(u32),
    #[component(name = "keep")]
    Keep(Vec<u64>),
    #[component(name = "adjust")]
    Adjust(Vec<f32>),
    #[component(name = "force")]
    Force(Vec<u32>),
    #[component(name = "stop")]
    Stop(Finish),
}

/// Weight of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum LogLevel {
    /// For the author.
    #[component(name = "debug")]
    Debug,
    /// Worth knowing.
    #[component(name = "info")]
    Info,
    /// Worth looking at.
    #[component(name = "warn")]
    Warn,
    /// Something failed.
    #[component(name = "error")]
    Error,
}

/// Why the store did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum StoreFailure {
    /// Key or value has too many bytes.
    #[component(name = "too-large")]
    TooLarge,
    /// The tenant's store is full.
    #[component(name = "quota")]
    Quota,
    /// The value cannot be added to.
    #[component(name = "not-a-number")]
    NotANumber,
    /// The store cannot answer now.
    #[component(name = "unavailable")]
    Unavailable,
}

/// Why the model did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum InferenceFailure {
    /// The request's tokens or contexts are used up.
    #[component(name = "budget")]
    Budget,
    /// The context would be longer than the model's.
    #[component(name = "too-long")]
    TooLong,
    /// No such context.
    #[component(name = "unknown-handle")]
    UnknownHandle,
    /// What was asked cannot be done.
    #[component(name = "refused")]
    Refused,
    /// The client has gone.
    #[component(name = "cancelled")]
    Cancelled,
    /// The model cannot answer now.
    #[component(name = "unavailable")]
    Unavailable,
}

/// A token that may come next.
#[derive(Debug, Clone, Copy, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Candidate {
    /// The token.
    pub token: u32,
    /// Its logit.
    pub logit: f32,
}

/// A span as guests see it.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lower)]
#[component(record)]
pub(crate) struct RawSpan {
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
    pub(crate) why: Finish,
}
