//! A mirror of the model hub with one file, on the address by which pods reach this machine. Serves the hub's
//! paths, entity tags and ranges; lives as long as the test.

use std::{
    fs,
    net::{IpAddr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, StatusCode, Uri, header},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    net::TcpListener,
    sync::oneshot,
};

use crate::cluster::Cluster;

/// The same port in every test, so that the operator's settings stay the same.
const PORT: u16 = 18_437;
/// Bytes read from disk at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// A running mirror; it ends when it is dropped.
#[derive(Debug)]
pub struct Mirror {
    /// Where it is; of the model's mirror, what `HF_ENDPOINT` must be.
    pub url: String,
    /// Dropped with the mirror, which tells the server to end.
    _stop: oneshot::Sender<()>,
}

/// The one file.
#[derive(Debug)]
struct Model {
    path: PathBuf,
    bytes: u64,
    digest: String,
}

impl Mirror {
    /// Starts a server of the model's file.
    ///
    /// # Errors
    /// The file cannot be read, or the address is in use: another run of these tests?
    pub fn start(cluster: &Cluster) -> Result<Self> {
        let model = Arc::new(read(cluster.model())?);
        serve(cluster, PORT, Router::new().fallback(answer).with_state(model))
    }

    /// Starts a server of these bytes, whatever the path, on a free port.
    ///
    /// # Errors
    /// No port is free.
    pub fn offer(cluster: &Cluster, bytes: Vec<u8>) -> Result<Self> {
        let bytes = Bytes::from(bytes);
        serve(cluster, 0, Router::new().fallback(async move || bytes.clone()))
    }
}

/// Serves on the address by which pods reach this machine, on a thread of its own.
fn serve(cluster: &Cluster, port: u16, app: Router) -> Result<Mirror> {
    let address = SocketAddr::new(own_address(cluster)?, port);
    let (stop, stopped) = oneshot::channel();
    let (ready, listening) = std::sync::mpsc::sync_channel(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async move {
            let bound = async {
                let listener = TcpListener::bind(address).await?;
                Ok((listener.local_addr()?, listener))
            };
            let (bound, listener) = match bound.await {
                Ok(bound) => bound,
                Err(error) => return drop(ready.send(Err::<SocketAddr, std::io::Error>(error))),
            };
            drop(ready.send(Ok(bound)));
            let end = async { drop(stopped.await) };
            tokio::select! { () = end => (), _ = axum::serve(listener, app) => () }
        });
    });
    let bound = listening.recv()?.with_context(|| format!("listen on {address} for the pods"))?;
    Ok(Mirror { url: format!("http://{bound}"), _stop: stop })
}

fn read(path: &Path) -> Result<Model> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let digest = hex::encode(Sha256::digest(&bytes));
    Ok(Model { path: path.to_owned(), bytes: bytes.len() as u64, digest })
}

/// The address of this machine on the way to the cluster.
fn own_address(cluster: &Cluster) -> Result<IpAddr> {
    let path = "jsonpath={.clusters[0].cluster.server}";
    let server = cluster.kubectl(&["config", "view", "--output", path])?;
    let authority = server.trim_start_matches("https://").trim_end_matches('/');
    let socket = UdpSocket::bind("0.0.0.0:0").context("open a socket")?;
    socket.connect(authority).with_context(|| format!("find the way to {authority}"))?;
    Ok(socket.local_addr().context("own address")?.ip())
}

/// `/OWNER/NAME/resolve/REVISION/FILE` for any owner, name and revision, and only the one file.
async fn answer(
    State(model): State<Arc<Model>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let name = model.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    if parts.len() < 5 || parts[2] != "resolve" || parts.last() != Some(&name) {
        return status(StatusCode::NOT_FOUND);
    }
    let Some(start) = first_byte(&headers) else { return status(StatusCode::BAD_REQUEST) };
    if start >= model.bytes {
        return status(StatusCode::RANGE_NOT_SATISFIABLE);
    }
    let builder = Response::builder()
        .header(header::ETAG, format!("\"{}\"", model.digest))
        .header("x-linked-etag", format!("\"{}\"", model.digest))
        .header("x-linked-size", model.bytes)
        .header("x-repo-commit", parts[3])
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, model.bytes - start);
    let builder = if headers.contains_key(header::RANGE) {
        let range = format!("bytes {start}-{}/{}", model.bytes - 1, model.bytes);
        builder.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range)
    } else {
        builder
    };
    let body =
        if method == Method::HEAD { Ok(Body::empty()) } else { body(&model.path, start).await };
    let whole = body.ok().and_then(|body| builder.body(body).ok());
    whole.unwrap_or_else(|| status(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Only `bytes=N-`, which is what resuming asks for.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let Some(range) = headers.get(header::RANGE) else { return Some(0) };
    range.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

fn status(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

async fn body(path: &Path, start: u64) -> std::io::Result<Body> {
    let mut file = File::open(path).await?;
    file.seek(std::io::SeekFrom::Start(start)).await?;
    let pieces = futures::stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let count = file.read(&mut piece).await?;
        piece.truncate(count);
        Ok::<_, std::io::Error>((count > 0).then(|| (Bytes::from(piece), file)))
    });
    Ok(Body::from_stream(pieces))
}
