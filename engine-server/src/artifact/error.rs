//! Why a model file could not be had. Every message says what, where and what to do.

use reqwest::StatusCode;

use super::source::SourceError;
use crate::{digest::Digest, store::StoreError};

/// How a caller should react.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The file does not exist, or not for this user.
    NotFound,
    /// The source cannot be reached or fails; later it may work.
    Unavailable,
    /// Anything else.
    Other,
}

/// Why a model file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The source cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An environment variable holds something unusable.
    #[error("the environment variable {name} is unusable: {reason}")]
    Environment { name: &'static str, reason: String },
    /// The HTTP client cannot be built.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
    /// The server answered, and no retry will change its mind.
    #[error("{url} answered {status}: {advice}")]
    Refused { url: String, status: StatusCode, advice: &'static str },
    /// The server answered that it cannot serve now.
    #[error("{url} answered {status}")]
    ServerFailed { url: String, status: StatusCode, retry_after_seconds: Option<u64> },
    /// No connection, or it broke.
    #[error("the connection to {host} failed: {reason}")]
    Connection { host: String, reason: String },
    /// The body ended early.
    #[error("{host} sent {found} of {expected} bytes and closed the connection")]
    Truncated { host: String, found: u64, expected: u64 },
    /// What is left of the file does not fit what has arrived.
    #[error("{host} has another file now than when the download began: {reason}")]
    Changed { host: String, reason: String },
    /// A partial answer that makes no sense.
    #[error("{host} sent an answer that is not valid HTTP for a range request: {reason}")]
    Protocol { host: String, reason: String },
    /// Without a length and without a digest, nothing tells a whole file from a cut one.
    #[error(
        "{url} does not say how long it is, so a cut file could not be told from a whole one; give its sha256"
    )]
    NoLength { url: String },
    /// Too large to be a model.
    #[error("{url} is larger than {limit} bytes, the largest model file that is downloaded")]
    TooLarge { url: String, limit: u64 },
    /// All attempts failed.
    #[error(
        "gave up after {attempts} attempts: {last}; what has arrived is kept: run the same command again to resume"
    )]
    GaveUp { attempts: u32, last: Box<FetchError> },
    /// The content is not what was asked for.
    #[error(
        "{source_name} has another content than expected: sha256 expected {expected}, found {found}; the file was removed: check the sha256, or whether the source was changed"
    )]
    WrongDigest { source_name: String, expected: Digest, found: Digest },
    /// The content is no GGUF file.
    #[error(
        "{source_name} is not a model file: {reason}; the file was removed: check that the source names a .gguf file"
    )]
    NotGguf { source_name: String, reason: String },
    /// A background task was cancelled.
    #[error("a file operation was interrupted: {0}")]
    Task(String),
}

impl FetchError {
    /// A file task that did not finish.
    pub fn task(error: tokio::task::JoinError) -> Self {
        let reason = error.to_string();
        drop(error);
        Self::Task(reason)
    }

    /// How a caller should react.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Refused { status, .. }
                if matches!(*status, StatusCode::NOT_FOUND | StatusCode::GONE) =>
            {
                FailureKind::NotFound
            }
            Self::GaveUp { .. }
            | Self::ServerFailed { .. }
            | Self::Connection { .. }
            | Self::Truncated { .. } => FailureKind::Unavailable,
            _ => FailureKind::Other,
        }
    }

    /// Whether another attempt may succeed.
    pub fn is_worth_retrying(&self) -> bool {
        matches!(
            self,
            Self::ServerFailed { .. }
                | Self::Connection { .. }
                | Self::Truncated { .. }
                | Self::Changed { .. }
                | Self::Protocol { .. }
        )
    }
}
