//! The one place where errors become HTTP: `{"error":{"message","type","param","code"}}` with the status that fits.

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use realm_sandbox::{Breach, BreachKind, plan::Reject};
use serde::Serialize;

use crate::{
    admission::{
        Refusal,
        exceeded::{Exceeded, Limit},
    },
    scheduler::event::{Failure, SubmitError},
};

/// What a client should wait after 429.
const RETRY_OVERLOADED: Duration = Duration::from_secs(2);
/// What a client should wait after 503.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(5);

/// Kind of an error, as OpenAI's clients know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorType {
    /// The request is wrong.
    InvalidRequestError,
    /// The key may not do this.
    PermissionError,
    /// Too much at once.
    RateLimitError,
    /// The server is wrong, or not there.
    ServerError,
}

/// An error as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    body: ErrorBody,
    retry_after: Option<Duration>,
    close: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ErrorBody {
    message: String,
    #[serde(rename = "type")]
    kind: ErrorType,
    param: Option<String>,
    code: Cow<'static, str>,
}

/// The JSON object around an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorDocument<'a> {
    error: &'a ErrorBody,
}

impl ApiError {
    /// 400 for a field; `param` is its path.
    pub fn invalid(
        param: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorType::InvalidRequestError, code, message)
            .param(param)
    }

    /// 400 for the body as a whole.
    pub fn malformed(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorType::InvalidRequestError, code, message)
    }

    /// A status of its own, for a wrong request.
    pub fn refused(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, ErrorType::InvalidRequestError, code, message)
    }

    /// 404 for a model; names those that there are.
    pub fn unknown_model<'a>(model: &str, known: impl Iterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.collect();
        let message = format!(
            "the model `{model}` does not exist here; this server has: {}",
            known.join(", ")
        );
        Self::refused(StatusCode::NOT_FOUND, "model_not_found", message).param("model")
    }

    /// 500; the cause belongs in the log.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorType::ServerError,
            "internal_error",
            message,
        )
    }

    /// 503 with Retry-After.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        let mut error =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorType::ServerError, code, message);
        error.retry_after = Some(RETRY_UNAVAILABLE);
        error
    }

    /// 422: the tenant's program wants what this server does not do.
    pub fn unexecuted(message: &str) -> Self {
        Self::refused(StatusCode::UNPROCESSABLE_ENTITY, "program_not_executed", message)
    }

    /// Names the field.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.body.param = Some(param.into());
        self
    }

    /// Asks the client to use another connection.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The error's document, for an event on a stream.
    pub fn document(&self) -> ErrorDocument<'_> {
        ErrorDocument { error: &self.body }
    }

    fn new(
        status: StatusCode,
        kind: ErrorType,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        let body = ErrorBody { message: message.into(), kind, param: None, code: code.into() };
        Self { status, body, retry_after: None, close: false }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, kind) = match refusal {
            Refusal::Suspended => (StatusCode::FORBIDDEN, ErrorType::PermissionError),
            _ => (StatusCode::UNAUTHORIZED, ErrorType::InvalidRequestError),
        };
        Self::new(status, kind, refusal.reason(), refusal.to_string())
    }
}

impl From<Exceeded> for ApiError {
    /// 429; 400 when no time would help.
    fn from(exceeded: Exceeded) -> Self {
        let (code, message) = (exceeded.limit.code(), exceeded.to_string());
        let retry = match (exceeded.limit, exceeded.retry) {
            (Limit::MaxQueued, None) => RETRY_OVERLOADED,
            (_, Some(wait)) => wait,
            (_, None) => return Self::malformed(code, message),
        };
        let error =
            Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorType::RateLimitError, code, message);
        Self { retry_after: Some(retry), ..error }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::Full(_) => {
                let message = format!("overloaded: {message}; try again later");
                let mut error = Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    ErrorType::RateLimitError,
                    "overloaded",
                    message,
                );
                error.retry_after = Some(RETRY_OVERLOADED);
                error
            }
            SubmitError::Sampling(error) => {
                Self::invalid(error.parameter, "invalid_value", message)
            }
            SubmitError::KvBudget { .. } => {
                Self::invalid("prompt", "context_length_exceeded", message)
            }
            SubmitError::EmptyPrompt => Self::invalid("prompt", "invalid_value", message),
            SubmitError::Ended => {
                Self::unavailable("stopping", "the server is stopping; try again").closing()
            }
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Engine => Self::internal(message),
            Failure::TooLarge { .. } => Self::invalid("prompt", "context_length_exceeded", message),
            Failure::Constraint(_) => {
                Self::refused(StatusCode::UNPROCESSABLE_ENTITY, "constraint_failed", message)
            }
            Failure::Program(breach) => breach.into(),
            Failure::Stopping => Self::unavailable("stopping", message).closing(),
        }
    }
}

/// A program that failed. The tenant's own fault is no fault of the server, and of no use to send again.
impl From<Breach> for ApiError {
    fn from(breach: Breach) -> Self {
        let message = breach.to_string();
        match breach.kind {
            BreachKind::Busy | BreachKind::Suspended => {
                Self::unavailable("program_unavailable", message)
            }
            BreachKind::MinuteTime => {
                let (status, kind) = (StatusCode::TOO_MANY_REQUESTS, ErrorType::RateLimitError);
                let mut error = Self::new(status, kind, "program_time", message);
                error.retry_after = Some(RETRY_OVERLOADED);
                error
            }
            BreachKind::Host => Self::internal(message),
            _ => Self::refused(StatusCode::UNPROCESSABLE_ENTITY, "program_failed", message),
        }
    }
}

/// A request that the tenant's program refuses, in its own words.
impl From<Reject> for ApiError {
    fn from(reject: Reject) -> Self {
        let status = StatusCode::from_u16(reject.status).unwrap_or(StatusCode::FORBIDDEN);
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorType::PermissionError,
            StatusCode::TOO_MANY_REQUESTS => ErrorType::RateLimitError,
            _ => ErrorType::InvalidRequestError,
        };
        let code = if reject.code.is_empty() { "refused_by_program".into() } else { reject.code };
        Self::new(status, kind, code, reject.message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.document())).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Rounded up: a client that waits so long is not early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
