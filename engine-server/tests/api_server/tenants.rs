//! Tenants by their keys, and how they change while the server runs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use realm_engine_server::config::{ConfigSource, Limits};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Answer, Setup, TestServer};

fn table(version: &str, tenants: &[(&str, bool, &str)]) -> String {
    let tenant = |(name, suspended, key): &(&str, bool, &str)| {
        let sha256 = hex::encode(Sha256::digest(key.as_bytes()));
        json!({"namespace": "home", "name": name, "suspended": suspended, "keys": [{"name": "main", "sha256": sha256}]})
    };
    json!({"version": version, "tenants": tenants.iter().map(tenant).collect::<Vec<_>>()})
        .to_string()
}

async fn with_key(server: &TestServer, key: Option<&str>) -> Answer {
    let request = server.client.get(format!("http://{}/v1/models", server.api));
    let request = match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    };
    Answer::of(request.send().await.expect("an answer")).await
}

pub(crate) struct Files {
    _folder: tempfile::TempDir,
    config: PathBuf,
    pub(crate) tenants: PathBuf,
}

/// As a mounted volume does it: the new file takes the old one's place at once.
pub(crate) fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).expect("a file");
    fs::rename(new, path).expect("a rename");
}

pub(crate) async fn server_with_files(tenants: &str) -> (TestServer, Files) {
    let limits =
        Limits { reload_interval: std::time::Duration::from_millis(50), ..Limits::default() };
    server_with_limits(tenants, limits).await
}

pub(crate) async fn server_with_limits(tenants: &str, limits: Limits) -> (TestServer, Files) {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, path) = (folder.path().join("engine.json"), folder.path().join("tenants.json"));
    let setup = Setup { limits, ..Setup::default() }.config("/anonymous", json!(false));
    fs::write(&config, setup.config.to_string()).expect("a file");
    fs::write(&path, tenants).expect("a file");
    let source = ConfigSource::files(config.clone(), Some(path.clone()));
    let server = setup.serve_from(source).await;
    (server, Files { _folder: folder, config, tenants: path })
}

#[tokio::test]
async fn keys_decide_who_enters() {
    let (server, _files) =
        server_with_files(&table("v1", &[("a", false, "key-a"), ("s", true, "key-s")])).await;
    assert_eq!(with_key(&server, Some("key-a")).await.status, 200);
    let cases = [
        (None, 401, "missing_api_key"),
        (Some("key-x"), 401, "invalid_api_key"),
        (Some("key-s"), 403, "tenant_suspended"),
    ];
    for (key, status, code) in cases {
        let answer = with_key(&server, key).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)));
        assert_eq!(answer.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
        assert!(!answer.text.contains("key-"), "no key comes back: {answer:?}");
        assert_eq!(server.metric("realm_auth_failures_total", &[code]).await, 1.0);
    }
    let body = json!({"model": "smollm2", "prompt": "Hi", "max_tokens": 1});
    for path in ["/v1/completions", "/v1/chat/completions", "/v1/models/smollm2"] {
        assert_eq!(
            server.post(path, &body).await.status,
            if path.contains("models") { 405 } else { 401 },
            "{path}"
        );
    }
    let asked = server
        .request("/v1/completions", &body)
        .bearer_auth("key-a")
        .send()
        .await
        .expect("an answer");
    assert_eq!(asked.status(), 200);
    assert_eq!(server.metric("realm_prompt_tokens_total", &["tenant=\"a\""]).await, 1.0);
    assert_eq!(
        server.metric("realm_requests_total", &["tenant=\"__none__\"", "status=\"401\""]).await,
        4.0
    );
    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(server.get(path).await.status, 200, "{path} needs no key");
    }
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn tenants_change_while_the_server_runs() {
    let (server, files) = server_with_files(&table("v1", &[("a", false, "key-a")])).await;
    let health = async || server.get("/health").await.json();
    assert_eq!(health().await["tenantsVersion"], "v1");
    replace(&files.tenants, &table("v2", &[("a", true, "key-a"), ("b", false, "key-b")]));
    server.until("v2 is in use", async || health().await["tenantsVersion"] == "v2").await;
    assert_eq!(with_key(&server, Some("key-b")).await.status, 200);
    assert_eq!(with_key(&server, Some("key-a")).await.status, 403);

    replace(&files.tenants, "{\"version\": \"v3\", \"tenants\": [{\"namespace\": 5}]}");
    server.until("the fault shows", async || health().await["message"].is_string()).await;
    let seen = health().await;
    let message = seen["message"].as_str().expect("a message");
    assert!(
        message.contains("tenants.json")
            && message.contains("tenants[0].namespace")
            && message.contains("line 1"),
        "{message}"
    );
    assert_eq!((&seen["status"], &seen["tenantsVersion"]), (&json!("ok"), &json!("v2")));
    assert_eq!(with_key(&server, Some("key-b")).await.status, 200);

    replace(&files.tenants, &table("v4", &[]));
    server.until("v4 is in use", async || health().await["tenantsVersion"] == "v4").await;
    assert_eq!(health().await["message"], Value::Null);
    assert_eq!(with_key(&server, Some("key-b")).await.status, 401);
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn a_configuration_changes_as_far_as_it_can() {
    let (server, files) = server_with_files(&table("v1", &[])).await;
    let mut config = Setup::default().config;
    config["generation"] = json!(8);
    config["aliases"] = json!(["tiny"]);
    replace(&files.config, &config.to_string());
    server
        .until("it is in use", async || server.get("/health").await.json()["generation"] == 8)
        .await;
    assert_eq!(server.get("/v1/models/tiny").await.status, 200, "anonymous is allowed now");
    assert_eq!(server.get("/v1/models/small").await.status, 404);

    config["generation"] = json!(9);
    config["engine"]["contextLength"] = json!(2048);
    replace(&files.config, &config.to_string());
    server
        .until("the fault shows", async || {
            server.get("/health").await.json()["message"].is_string()
        })
        .await;
    let health = server.get("/health").await.json();
    assert_eq!((&health["generation"], &health["contextLength"]), (&json!(8), &json!(1024)));
    assert!(health["message"].as_str().expect("a message").contains("engine"), "{health}");
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn what_one_tenant_has_computed_saves_another_nothing() {
    let (server, _files) =
        server_with_files(&table("v1", &[("a", false, "key-a"), ("b", false, "key-b")])).await;
    let prompt = "The quick brown fox jumps over the lazy dog. ".repeat(12);
    let body = json!({"model": "smollm2", "prompt": prompt, "max_tokens": 1, "temperature": 0});
    let mut usage = Vec::new();
    for key in ["key-a", "key-a", "key-b"] {
        let request = server.request("/v1/completions", &body).bearer_auth(key);
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let count = |pointer: &str| answer.json().pointer(pointer).and_then(Value::as_u64);
        usage.push((
            count("/usage/prompt_tokens").expect("a count"),
            count("/usage/prompt_tokens_details/cached_tokens").expect("a count"),
        ));
    }
    let prompt = usage[0].0;
    let cached = prompt - 1;
    assert!(cached > 64, "several pages: {prompt} tokens");
    assert_eq!(usage, [(prompt, 0), (prompt, cached), (prompt, 0)]);
    let counted = |tenant: &str| {
        let label = format!("tenant=\"{tenant}\"");
        let server = &server;
        async move { server.metric("realm_cached_prompt_tokens_total", &[&label]).await }
    };
    assert_eq!((counted("a").await, counted("b").await), (cached as f64, 0.0));
    server.stop().await.expect("a clean end");
}
