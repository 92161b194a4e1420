//! A limit that a request does not keep: which one, and when it would. A leaf.

use std::{fmt, time::Duration};

/// Limits of a tenant that refuse for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Requests in a minute.
    RequestsPerMinute,
    /// Prompt tokens in a minute.
    InputTokensPerMinute,
    /// Tokens of answers in a minute.
    OutputTokensPerMinute,
    /// Tokens in a day.
    TokensPerDay,
    /// Requests that wait.
    MaxQueued,
}

impl Limit {
    /// Its name in `spec.limits` of the RealmTenant.
    pub fn field(self) -> &'static str {
        match self {
            Self::RequestsPerMinute => "requestsPerMinute",
            Self::InputTokensPerMinute => "inputTokensPerMinute",
            Self::OutputTokensPerMinute => "outputTokensPerMinute",
            Self::TokensPerDay => "tokensPerDay",
            Self::MaxQueued => "maxQueued",
        }
    }

    /// Code of the error and reason in metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::RequestsPerMinute => "requests_per_minute_exceeded",
            Self::InputTokensPerMinute => "input_tokens_per_minute_exceeded",
            Self::OutputTokensPerMinute => "output_tokens_per_minute_exceeded",
            Self::TokensPerDay => "tokens_per_day_exceeded",
            Self::MaxQueued => "max_queued_exceeded",
        }
    }
}

/// A request that does not keep a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which limit.
    pub limit: Limit,
    /// What it allows.
    pub allowed: u64,
    /// What the request needs.
    pub wanted: u64,
    /// What is left.
    pub left: u64,
    /// When it would be granted if nothing else came; `None` when never.
    pub retry: Option<Duration>,
}

impl std::error::Error for Exceeded {}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, allowed, wanted, left, retry } = self;
        let field = limit.field();
        match (limit, retry) {
            (Limit::MaxQueued, _) => write!(
                f,
                "the limit {field} of this tenant is reached: {allowed} of its requests wait already; \
                 send fewer at a time"
            ),
            (_, Some(_)) => write!(
                f,
                "the limit {field} of this tenant is reached: it is {allowed}, {left} are left and this request needs \
                 {wanted}; try again after the time in Retry-After"
            ),
            (_, None) => write!(
                f,
                "this request needs {wanted} tokens and the limit {field} of this tenant is {allowed}, so it can never be \
                 granted; make it smaller"
            ),
        }
    }
}
