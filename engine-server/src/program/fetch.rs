//! Brings a component into memory: bounded, and verified by its digest before anybody looks at it.

use reqwest::{Client, StatusCode};
use thiserror::Error;

use crate::digest::Digest;

/// Why a component could not be had.
#[derive(Debug, Error)]
pub(super) enum Unfetched {
    /// No answer, or half of one.
    #[error("{url} cannot be fetched: {reason}")]
    Connection { url: String, reason: String },
    /// Another answer.
    #[error("{url} answered {status}; check the address")]
    Status { url: String, status: StatusCode },
    /// Too much.
    #[error("{url} has more than {limit} bytes, the most of a program; build it for size")]
    TooLarge { url: String, limit: usize },
    /// Something else.
    #[error("{url} has the sha256 {found}, but the manifest wants {wanted}; change one of them")]
    Digest { url: String, found: String, wanted: String },
}

impl Unfetched {
    /// Whether another attempt may succeed.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Digest { .. } => true,
            Self::Status { status, .. } => !status.is_success(),
            Self::TooLarge { .. } => false,
        }
    }
}

/// Fetches what lies behind the address.
pub(super) async fn fetch(
    client: &Client,
    url: &str,
    sha256: &str,
    limit: usize,
) -> Result<Vec<u8>, Unfetched> {
    let failed = |error: reqwest::Error| Unfetched::Connection {
        url: url.to_owned(),
        reason: chain(&error),
    };
    let mut response = client.get(url).send().await.map_err(failed)?;
    if response.status() != StatusCode::OK {
        return Err(Unfetched::Status { url: url.to_owned(), status: response.status() });
    }
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if bytes.len() + piece.len() > limit {
            return Err(Unfetched::TooLarge { url: url.to_owned(), limit });
        }
        bytes.extend_from_slice(&piece);
    }
    let found = Digest::of(&bytes);
    if found.as_str() != sha256 {
        let found = found.to_string();
        return Err(Unfetched::Digest { url: url.to_owned(), found, wanted: sha256.to_owned() });
    }
    Ok(bytes)
}

/// The error with its causes, of which the last says most.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
