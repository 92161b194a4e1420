//! A real HTTP server on a local port that serves one file and misbehaves in the ways of real servers.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary includes this file and uses its own part"
)]

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode, Uri},
};
use futures::stream;

/// How the next request is answered. The last one of a script stays.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The file, or the asked range of it.
    Good,
    /// The whole file, whatever range is asked for.
    IgnoreRange,
    /// Like `Good`, but the connection breaks after so many bytes.
    CutAfter(usize),
    /// Another file of the same length, with another entity tag.
    Changed,
    /// Other bytes under the same entity tag.
    Corrupt,
    /// `Content-Length` off by this many bytes.
    LieAboutLength(i64),
    /// 200 without a length.
    NoLength,
    /// 206 that begins at the wrong byte.
    WrongRange,
    /// Just a status.
    Status(u16),
    /// 302 to this place.
    Redirect(String),
    /// A page that is no model.
    Page(&'static str),
}

/// What one request looked like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub path: String,
    pub authorization: Option<String>,
    pub range: Option<String>,
    pub if_range: Option<String>,
}

#[derive(Debug)]
struct Script {
    file: Vec<u8>,
    etag: Option<&'static str>,
    answers: Vec<Answer>,
    seen: Vec<Seen>,
}

/// The running server.
#[derive(Debug, Clone)]
pub struct FileServer {
    pub url: String,
    script: Arc<Mutex<Script>>,
}

impl FileServer {
    pub async fn start(file: &[u8], answers: Vec<Answer>) -> Self {
        Self::with_etag(file, answers, Some("\"v1\"")).await
    }

    pub async fn with_etag(file: &[u8], answers: Vec<Answer>, etag: Option<&'static str>) -> Self {
        let script =
            Arc::new(Mutex::new(Script { file: file.to_vec(), etag, answers, seen: Vec::new() }));
        let app = Router::new().fallback(serve).with_state(script.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, script }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }
}

async fn serve(
    State(script): State<Arc<Mutex<Script>>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let mut script = script.lock().unwrap();
    script.seen.push(Seen {
        path: uri.path().to_owned(),
        authorization: text("authorization"),
        range: text("range"),
        if_range: text("if-range"),
    });
    let answer =
        if script.answers.len() > 1 { script.answers.remove(0) } else { script.answers[0].clone() };
    respond(&script, answer, text("range").as_deref(), text("if-range").as_deref())
}

fn respond(
    script: &Script,
    answer: Answer,
    range: Option<&str>,
    if_range: Option<&str>,
) -> Response<Body> {
    let plain = |status: u16| Response::builder().status(status);
    let file = &script.file;
    let start = range
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .filter(|_| if_range.is_none() || if_range == script.etag)
        .unwrap_or(0);
    match answer {
        Answer::Good => ranged(file, script.etag, start, usize::MAX),
        Answer::CutAfter(bytes) => ranged(file, script.etag, start, bytes),
        Answer::IgnoreRange => ranged(file, script.etag, 0, usize::MAX),
        Answer::Changed => ranged(&flipped(file), Some("\"v2\""), start, usize::MAX),
        Answer::Corrupt => ranged(&flipped(file), script.etag, start, usize::MAX),
        Answer::LieAboutLength(off) => plain(200)
            .header("content-length", (file.len() as i64 + off).to_string())
            .body(one_chunk(file, true))
            .unwrap(),
        Answer::NoLength => plain(200).body(one_chunk(file, true)).unwrap(),
        Answer::WrongRange => plain(206)
            .header("content-range", format!("bytes 1-{}/{}", file.len() - 1, file.len()))
            .body(Body::from(file[1..].to_vec()))
            .unwrap(),
        Answer::Status(status) => plain(status).body(Body::from("no")).unwrap(),
        Answer::Redirect(to) => plain(302).header("location", to).body(Body::empty()).unwrap(),
        Answer::Page(text) => plain(200).body(Body::from(text)).unwrap(),
    }
}

/// The bytes from `start`; the connection breaks after `limit` of them if that is fewer.
fn ranged(file: &[u8], etag: Option<&'static str>, start: usize, limit: usize) -> Response<Body> {
    let total = file.len();
    let mut response = Response::builder().header("accept-ranges", "bytes");
    if let Some(etag) = etag {
        response = response.header("etag", etag);
    }
    if start >= total && start > 0 {
        return response
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .header("content-range", format!("bytes */{total}"))
            .body(Body::empty())
            .unwrap();
    }
    let body = &file[start..];
    response = response.header("content-length", body.len().to_string());
    if start > 0 {
        response = response
            .status(206)
            .header("content-range", format!("bytes {start}-{}/{total}", total - 1));
    }
    let sent = &body[..limit.min(body.len())];
    response.body(one_chunk(sent, sent.len() == body.len())).unwrap()
}

/// A body that ends well, or breaks the connection once its bytes are out.
fn one_chunk(bytes: &[u8], ends_well: bool) -> Body {
    const STEP: usize = 16 * 1024;
    let mut chunks: Vec<io::Result<Vec<u8>>> =
        bytes.chunks(STEP).map(|chunk| Ok(chunk.to_vec())).collect();
    if !ends_well {
        chunks.push(Err(io::Error::other("cut")));
    }
    Body::from_stream(stream::unfold(chunks.into_iter(), |mut chunks| async move {
        // Lets hyper write what it has before the connection breaks.
        tokio::task::yield_now().await;
        chunks.next().map(|chunk| (chunk, chunks))
    }))
}

fn flipped(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    for byte in file.iter_mut().skip(8) {
        *byte ^= 0x55;
    }
    file
}

/// Bytes that begin like a GGUF file and then look random, the same each time.
pub fn model_bytes(len: usize) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.push(state as u8);
    }
    bytes
}
