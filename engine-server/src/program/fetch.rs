//! Brings a component into memory: bounded, and verified by its digest before anybody looks at it.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use thiserror::Error;
use tokio::time::timeout;

use crate::digest::Digest;

/// Time for a whole component, however it trickles: programs are prepared one after the other.
const FETCH_TIME: Duration = Duration::from_secs(10);

/// Why a component could not be had.
#[derive(Debug, Error)]
pub(super) enum Unfetched {
    /// No answer, or half of one.
    #[error("{url} cannot be fetched: {reason}")]
    Connection { url: String, reason: String },
    /// Too slow.
    #[error("{url} took longer than {} seconds; serve it from a faster place", FETCH_TIME.as_secs())]
    Slow { url: String },
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
            Self::Connection { .. } | Self::Slow { .. } | Self::Digest { .. } => true,
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
    let bytes = timeout(FETCH_TIME, download(client, url, limit))
        .await
        .map_err(|_| Unfetched::Slow { url: url.to_owned() })??;
    let found = Digest::of(&bytes);
    if found.as_str() != sha256 {
        let found = found.to_string();
        return Err(Unfetched::Digest { url: url.to_owned(), found, wanted: sha256.to_owned() });
    }
    Ok(bytes)
}

async fn download(client: &Client, url: &str, limit: usize) -> Result<Vec<u8>, Unfetched> {
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
    Ok(bytes)
}

/// The error with its causes, of which the last says most.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::sleep,
    };

    use super::*;
    use crate::artifact::http_client;

    /// Guards the other tenants, whose programs wait behind this one.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_trickles_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/p.wasm", listener.local_addr().unwrap());
        let trickle = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A client takes an answer that comes before its question for a broken connection.
            let asked = stream.read(&mut [0; 4096]).await.unwrap();
            assert!(asked > 0, "the client asks");
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
            stream.write_all(head).await.unwrap();
            while stream.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let client = http_client().unwrap();
        tokio::select! {
            fetched = fetch(&client, &url, "", 1 << 20) => {
                assert!(matches!(fetched, Err(Unfetched::Slow { .. })), "{fetched:?}");
            }
            () = trickle => panic!("the client went away before its time"),
        }
    }
}
