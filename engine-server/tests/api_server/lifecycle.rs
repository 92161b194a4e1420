//! From the bound port to the last answer: loading, failing to load, draining.

use std::time::Duration;

use realm_engine::engine::PackedIn;
use realm_engine_server::server::{ModelFile, ServeError};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::{
    support::{DIGEST, MODEL, Setup, TestServer, chunks, endless, model_path},
    tiny_model::TinyModel,
};

fn hello() -> Value {
    json!({"model": MODEL, "prompt": "Hi", "max_tokens": 1})
}

#[tokio::test]
async fn probes_are_answered_while_the_model_loads() {
    let setup = Setup::default();
    let source = setup.fixed();
    let (give, given) = oneshot::channel::<()>();
    let server = setup
        .start(source, async move {
            given.await.map_err(|error| error.to_string())?;
            Ok(ModelFile {
                path: model_path(),
                digest: DIGEST.to_owned(),
                draft_model: None,
                packed: PackedIn::default(),
            })
        })
        .await;
    assert_eq!(server.get("/livez").await.status, 200);
    let readyz = server.get("/readyz").await;
    assert_eq!((readyz.status, readyz.text.as_str()), (503, "loading"));
    let health = server.get("/health").await;
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("loading")));
    let refused = server.post("/v1/completions", &hello()).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("loading")));
    assert!(!refused.header("retry-after").is_empty());
    give.send(()).expect("the server waits");
    server.until("ready", async || server.get("/readyz").await.status == 200).await;
    let health = server.get("/health").await;
    assert_eq!(health.status, 200);
    let kv_bytes = health.json()["kvBytes"].as_u64().expect("kvBytes");
    assert!(kv_bytes > 1 << 20, "{kv_bytes}");
    let expected = json!({
        "status": "ok", "model": MODEL, "generation": 7, "digest": DIGEST, "tenantsVersion": "",
        "quantization": "Q4_1", "parameters": 134_515_008, "contextLength": 1024, "fileBytes": 98_362_432,
        "kvBytes": kv_bytes
    });
    assert_eq!(health.json(), expected);
    let info = [
        "model=\"smollm2\"",
        "architecture=\"llama\"",
        "quantization=\"Q4_1\"",
        &format!("sha256=\"{DIGEST}\""),
    ];
    assert_eq!(server.metric("realm_model_info", &info).await, 1.0);
    assert_eq!(server.metric("realm_model_size_bytes", &[]).await, 98_362_432.0);
    server.stop().await.expect("a clean end");
}

/// A file that is taken for the demo model.
fn file(path: std::path::PathBuf) -> ModelFile {
    ModelFile { path, digest: DIGEST.to_owned(), draft_model: None, packed: PackedIn::default() }
}

#[tokio::test]
async fn a_model_that_does_not_load_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.gguf");
    std::fs::write(&path, b"GGUF but not really").expect("a file");
    let other = "0".repeat(64);
    let stranger = folder.path().join("tiny.gguf");
    TinyModel::new().write(&stranger);
    let cases: Vec<(Result<ModelFile, String>, &str)> = vec![
        (Err("the download failed: no route".to_owned()), "the download failed: no route"),
        (Ok(file(path)), "bad.gguf"),
        (Ok(file(folder.path().join("none.gguf"))), "none.gguf"),
        (Ok(ModelFile { digest: other, ..file(model_path()) }), "digest"),
        (
            Ok(ModelFile { draft_model: Some(stranger), ..file(model_path()) }),
            "a draft model must have the same vocabulary",
        ),
    ];
    for (model, part) in cases {
        let setup = Setup { failure_linger: Duration::from_mins(1), ..Setup::default() };
        let source = setup.fixed();
        let server = setup.start(source, async { model }).await;
        server
            .until("it fails", async || server.get("/health").await.json()["status"] == "failed")
            .await;
        let message =
            server.get("/health").await.json()["message"].as_str().expect("a message").to_owned();
        assert!(message.contains(part), "{message}");
        assert_eq!(
            (server.get("/livez").await.status, server.get("/readyz").await.status),
            (503, 503)
        );
        assert_eq!(
            server.post("/v1/completions", &hello()).await.json()["error"]["code"],
            "failed"
        );
        let ended = server.stop().await.expect_err("an error");
        assert!(
            matches!(ended, ServeError::Model(_) | ServeError::Load(_))
                && ended.to_string() == message,
            "{ended}"
        );
    }
}

#[tokio::test]
async fn a_draft_model_guesses_and_changes_no_answer() {
    let question = json!({"model": MODEL, "prompt": "The capital of France is", "max_tokens": 12, "temperature": 0});
    let alone = Setup::default().serve().await;
    let expected = alone.post("/v1/completions", &question).await.json()["choices"].clone();
    let setup = Setup::default();
    let source = setup.fixed();
    let file = ModelFile {
        path: model_path(),
        digest: DIGEST.to_owned(),
        draft_model: Some(model_path()),
        packed: PackedIn::default(),
    };
    let server = setup.start(source, async { Ok(file) }).await;
    server.until("ready", async || server.get("/readyz").await.status == 200).await;
    let answer = server.post("/v1/completions", &question).await;
    assert_eq!(answer.json()["choices"], expected, "{}", answer.text);
    let drafted = server.metric("realm_speculation_drafted_tokens_total", &[]).await;
    let accepted = server.metric("realm_speculation_accepted_tokens_total", &[]).await;
    assert!(drafted > 0.0 && accepted > 0.0 && accepted <= drafted, "{accepted} of {drafted}");
}

#[tokio::test]
async fn speculation_can_be_switched_off() {
    let engine = json!({
        "contextLength": 1024, "parallel": 4, "threads": 1, "batchTokens": 256,
        "speculation": {"mode": "Never", "maxDraftTokens": 8},
    });
    let setup = Setup::default().config("/engine", engine);
    let server = setup.serve().await;
    let question = json!({"model": MODEL, "prompt": "a b c a b c a b c a b", "max_tokens": 16, "temperature": 0});
    assert_eq!(server.post("/v1/completions", &question).await.status, 200);
    assert_eq!(server.metric("realm_speculation_drafted_tokens_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let server = Setup::default().serve().await;
    let options = realm_engine_server::server::ServerOptions {
        api_addr: server.api,
        management_addr: None,
        limits: realm_engine_server::config::Limits::default(),
        drain_grace: Duration::ZERO,
        failure_linger: Duration::ZERO,
    };
    let error = realm_engine_server::server::Server::bind(options, Setup::default().fixed())
        .await
        .expect_err("taken");
    assert!(error.to_string().contains(&server.api.to_string()), "{error}");
}

#[tokio::test]
async fn requests_are_taken_until_load_balancers_have_noticed() {
    let server = Setup { drain_grace: Duration::from_mins(10), ..Setup::default() }.serve().await;
    server.shutdown.cancel();
    server.until("readyz fails", async || server.get("/readyz").await.status == 503).await;
    assert_eq!(server.get("/health").await.json()["status"], "draining");
    assert_eq!(server.get("/livez").await.status, 200);
    assert_eq!(server.metric("realm_draining", &[]).await, 1.0);
    assert_eq!(server.post("/v1/completions", &hello()).await.status, 200);
    server.run.abort();
}

#[tokio::test]
async fn a_drain_finishes_open_streams() {
    let server = Setup::default().config("/drainTimeoutSeconds", json!(600)).serve().await;
    let mut asked = endless(300);
    asked["stream_options"] = json!({"include_usage": true});
    let mut events = server.stream("/v1/chat/completions", &asked).await;
    events.next().await.expect("an event");
    server.shutdown.cancel();
    let refused = until_refused(&server).await;
    assert_eq!(refused["error"]["code"], "draining");
    let chunks = chunks(events.rest().await);
    let [.., finish, usage] = chunks.as_slice() else { panic!("{chunks:?}") };
    assert_eq!(finish["choices"][0]["finish_reason"], "length");
    assert_eq!(usage["usage"]["completion_tokens"], 300);
    server.stop().await.expect("a clean end");
}

/// Asks on connections of their own until the drain is seen; gives the error.
async fn until_refused(server: &TestServer) -> Value {
    loop {
        let fresh = reqwest::Client::new().post(format!("http://{}/v1/completions", server.api));
        let asked = fresh.header("content-type", "application/json").body(hello().to_string());
        let answer = crate::support::Answer::of(asked.send().await.expect("an answer")).await;
        if answer.status != 200 {
            assert_eq!((answer.status, answer.header("connection")), (503, "close"));
            assert!(!answer.header("retry-after").is_empty());
            return answer.json();
        }
    }
}

#[tokio::test]
async fn a_drain_that_takes_too_long_cuts_with_an_error() {
    let server = Setup::default().config("/drainTimeoutSeconds", json!(0)).serve().await;
    let mut events = server.stream("/v1/chat/completions", &endless(900)).await;
    events.next().await.expect("an event");
    server.shutdown.cancel();
    let events = events.rest().await;
    let last: Value = serde_json::from_str(events.last().expect("an event")).expect("JSON");
    assert_eq!(
        (&last["error"]["code"], &last["error"]["type"]),
        (&json!("stopping"), &json!("server_error"))
    );
    server.stop().await.expect("a clean end");
}
