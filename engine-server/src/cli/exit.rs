//! Exit codes: what a script may rely on.

use std::io;

use crate::{
    artifact::{FailureKind, FetchError, SourceError},
    manifest::ManifestError,
    store::LookupError,
};

/// All is well.
pub(super) const OK: u8 = 0;
/// Something failed.
pub(super) const FAILED: u8 = 1;
/// The command line is wrong.
pub(super) const USAGE: u8 = 2;
/// A model or file does not exist.
pub(super) const NOT_FOUND: u8 = 3;
/// A server, port or source cannot be used now.
pub(super) const UNAVAILABLE: u8 = 4;
/// Ended by Ctrl-C: 128 + SIGINT.
pub(super) const INTERRUPTED: u8 = 130;

/// An error whose exit code is decided where it happens.
#[derive(Debug, thiserror::Error)]
pub(super) enum Exit {
    /// The command line is wrong in a way that the parser does not see.
    #[error("{0}")]
    Usage(String),
    /// A model or file does not exist.
    #[error("{0}")]
    NotFound(String),
    /// A port is taken or a resource is not there now.
    #[error("{0}")]
    Unavailable(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// The exit code of an error, decided by the first cause that knows it.
pub(super) fn code_of(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of_cause).unwrap_or(FAILED)
}

/// Whether the reader of standard output has gone: no reason to complain.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn code_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(exit) = cause.downcast_ref::<Exit>() {
        return Some(match exit {
            Exit::Usage(_) => USAGE,
            Exit::NotFound(_) => NOT_FOUND,
            Exit::Unavailable(_) => UNAVAILABLE,
            Exit::Interrupted => INTERRUPTED,
        });
    }
    if let Some(error) = cause.downcast_ref::<FetchError>() {
        return match error.kind() {
            FailureKind::NotFound => Some(NOT_FOUND),
            FailureKind::Unavailable => Some(UNAVAILABLE),
            FailureKind::Other => None,
        };
    }
    if cause.is::<SourceError>() {
        return Some(USAGE);
    }
    match cause.downcast_ref::<ManifestError>() {
        Some(ManifestError::UnknownModel { .. }) => return Some(NOT_FOUND),
        Some(ManifestError::SeveralModels { .. } | ManifestError::NoModel { .. }) => {
            return Some(USAGE);
        }
        Some(ManifestError::Read { path, .. }) if !path.exists() => return Some(NOT_FOUND),
        _ => {}
    }
    match cause.downcast_ref::<LookupError>()? {
        LookupError::NotFound { .. } => Some(NOT_FOUND),
        LookupError::Ambiguous { .. } => Some(USAGE),
        LookupError::Store(_) => None,
    }
}
