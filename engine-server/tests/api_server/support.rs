//! A server for a test: real sockets, the real model, and ways to ask and to wait.

use std::{future::Future, net::SocketAddr, path::PathBuf, time::Duration};

use futures::StreamExt as _;
use realm_crds::engine_config::{EngineConfig, TenantTable};
use realm_engine::engine::PackedIn;
use realm_engine_server::{
    config::{ConfigSource, Limits, Resolved},
    program::ProgramOptions,
    server::{ModelFile, ServeError, Server, ServerOptions},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Name under which the model is served.
pub(crate) const MODEL: &str = "smollm2";
/// Digest of the demo model's file.
pub(crate) const DIGEST: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(2);
/// Pause between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Path of the demo model.
pub(crate) fn model_path() -> PathBuf {
    std::env::var_os("REALM_TEST_MODEL").map(PathBuf::from).expect(
        "REALM_TEST_MODEL is not set: run the tests with `cargo xtask test`, which gets the model",
    )
}

/// What differs between servers of tests.
pub(crate) struct Setup {
    pub(crate) config: Value,
    pub(crate) limits: Limits,
    pub(crate) drain_grace: Duration,
    pub(crate) failure_linger: Duration,
    pub(crate) programs: Option<ProgramOptions>,
}

impl Default for Setup {
    fn default() -> Self {
        let config = json!({
            "namespace": "home", "resource": "smollm2", "generation": 7, "servedName": MODEL, "aliases": ["small"],
            "source": {"http": {"url": "https://models.example/smollm2.gguf", "sha256": DIGEST}}, "digest": DIGEST,
            "engine": {"contextLength": 1024, "parallel": 4, "threads": 1, "batchTokens": 256},
            "anonymous": true, "drainTimeoutSeconds": 60
        });
        Self {
            config,
            limits: Limits::default(),
            drain_grace: Duration::ZERO,
            failure_linger: Duration::ZERO,
            programs: None,
        }
    }
}

impl Setup {
    pub(crate) fn config(mut self, pointer: &str, value: Value) -> Self {
        *self.config.pointer_mut(pointer).expect("a field of the configuration") = value;
        self
    }

    pub(crate) fn parsed(&self) -> EngineConfig {
        serde_json::from_value(self.config.clone()).expect("a configuration")
    }

    pub(crate) fn fixed(&self) -> ConfigSource {
        ConfigSource::fixed(Resolved { config: self.parsed(), tenants: TenantTable::default() })
    }

    /// A server that has loaded the model.
    pub(crate) async fn serve(self) -> TestServer {
        let source = self.fixed();
        self.serve_from(source).await
    }

    /// The same with its configuration from `source`.
    pub(crate) async fn serve_from(self, source: ConfigSource) -> TestServer {
        self.serve_file(source, model_path()).await
    }

    /// A server that has loaded the model at `path`.
    pub(crate) async fn serve_file(self, source: ConfigSource, path: PathBuf) -> TestServer {
        let file = ModelFile {
            path,
            digest: DIGEST.to_owned(),
            draft_model: None,
            packed: PackedIn::default(),
        };
        let server = self.start(source, async { Ok(file) }).await;
        server
            .until("the model is loaded", async || server.get("/readyz").await.status == 200)
            .await;
        server
    }

    /// A server that is about to load what `model` gives.
    pub(crate) async fn start<M>(self, source: ConfigSource, model: M) -> TestServer
    where
        M: Future<Output = Result<ModelFile, String>> + Send + 'static,
    {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = ServerOptions {
            api_addr: any,
            management_addr: Some(any),
            limits: self.limits,
            drain_grace: self.drain_grace,
            failure_linger: self.failure_linger,
        };
        let server = Server::bind(options, source).await.expect("ports");
        let server = match self.programs {
            Some(programs) => server.with_programs(programs),
            None => server,
        };
        let shutdown = CancellationToken::new();
        let (api, management) =
            (server.api_addr(), server.management_addr().expect("a management port"));
        let run = tokio::spawn(server.run(model, shutdown.clone()));
        TestServer { api, management, shutdown, run, client: reqwest::Client::new() }
    }
}

/// A running server.
pub(crate) struct TestServer {
    pub(crate) api: SocketAddr,
    pub(crate) management: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) run: JoinHandle<Result<(), ServeError>>,
    pub(crate) client: reqwest::Client,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a body") }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

impl TestServer {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.fetch(self.api, path).await
    }

    async fn fetch(&self, addr: SocketAddr, path: &str) -> Answer {
        Answer::of(self.client.get(format!("http://{addr}{path}")).send().await.expect("an answer"))
            .await
    }

    pub(crate) fn request(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("http://{}{path}", self.api));
        request.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(path, body).send().await.expect("an answer")).await
    }

    /// Posts, and expects 200.
    pub(crate) async fn ask(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Posts, and gives the events of the stream.
    pub(crate) async fn stream(&self, path: &str, body: &Value) -> Events {
        let response = self.request(path, body).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        Events::of(response)
    }

    /// Sum of a metric over the series that have all the given labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.fetch(self.management, "/metrics").await;
        assert_eq!(page.status, 200);
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        let wanted = |line: &&str| labels.iter().all(|label| line.contains(label));
        let value = |line: &str| {
            line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number")
        };
        page.text.lines().filter(of_name).filter(wanted).map(value).sum()
    }

    /// Looks again and again until the condition holds.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    /// Orders it to stop and waits for its end.
    pub(crate) async fn stop(self) -> Result<(), ServeError> {
        self.shutdown.cancel();
        self.run.await.expect("no panic")
    }
}

/// The events of a stream.
pub(crate) struct Events {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<axum::body::Bytes>>,
    pending: String,
}

impl Events {
    pub(crate) fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { bytes: response.bytes_stream().boxed(), pending: String::new() }
    }

    /// The data of the next event, without comments.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.pending.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.pending = rest;
                match event.strip_prefix("data: ") {
                    Some(data) => return Some(data.to_owned()),
                    None => assert!(event.starts_with(':'), "neither data nor comment: {event:?}"),
                }
                continue;
            }
            let bytes = self.bytes.next().await?.ok()?;
            self.pending.push_str(std::str::from_utf8(&bytes).expect("events are UTF-8"));
        }
    }

    /// All events that are left.
    pub(crate) async fn rest(mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

/// Events up to `[DONE]`, as JSON.
pub(crate) fn chunks(mut events: Vec<String>) -> Vec<Value> {
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect()
}

/// A chat request for an answer that does not end by itself before `tokens`.
pub(crate) fn endless(tokens: usize) -> Value {
    json!({
        "model": MODEL, "messages": [{"role": "user", "content": "Count from one upwards."}], "temperature": 0,
        "max_tokens": tokens, "stream": true, "logit_bias": {"0": -100, "2": -100}
    })
}
