//! `realm serve -f` with the real model: what it says, what it answers, how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test by panicking"
)]

#[path = "support/file_server.rs"]
mod file_server;
#[allow(
    dead_code,
    clippy::format_collect,
    reason = "the sandbox's own tests use more of it; texts of guests are not large"
)]
#[path = "../../sandbox/tests/sandbox/guests.rs"]
mod guests;
#[path = "support/realm_binary.rs"]
mod realm_binary;

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use file_server::{Answer, FileServer};
use guests::Guest;
use realm_binary::{Home, Serving, manifest, signal};

/// For what comes in its own time.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks for a continuation; gives status and body.
async fn ask(url: &str, key: Option<&str>) -> (u16, serde_json::Value) {
    let body = serde_json::json!({ "model": "smollm2", "prompt": "The capital of France is", "max_tokens": 4, "temperature": 0 });
    let mut request = reqwest::Client::new()
        .post(format!("{url}/v1/completions"))
        .header("content-type", "application/json")
        .body(body.to_string());
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_manifest_is_served_until_sigterm() {
    install_tls();
    let home = Home::with_model();
    home.write("model.yaml", manifest("  access: {anonymous: true}\n"));
    let mut serving = Serving::start(&home, &["-f", "model.yaml"]);
    assert!(serving.url.starts_with("http://127.0.0.1:"), "{:?}", serving.lines);
    assert!(
        serving.lines.iter().any(|line| line.contains("loading smollm2")),
        "{:?}",
        serving.lines
    );
    let (status, answer) = ask(&serving.url, None).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["choices"][0]["text"].as_str().unwrap().contains("Paris"), "{answer}");
    signal(&serving.child, "TERM");
    assert_eq!(serving.child.wait().unwrap().code(), Some(0), "an ordered end is no failure");
}

#[tokio::test]
async fn a_generated_key_is_needed_and_works() {
    install_tls();
    let home = Home::with_model();
    home.write("model.yaml", manifest(""));
    home.write("tenant.yaml", "apiVersion: realm.querent.io/v1alpha1\nkind: RealmTenant\nmetadata: {name: acme}\nspec:\n  models: [{name: smollm2}]\n  apiKeys: [{name: main, generate: true}]\n");
    let serving = Serving::start(&home, &["-f", "model.yaml", "-f", "tenant.yaml"]);
    let line =
        serving.lines.iter().find(|line| line.starts_with("API key main of tenant acme")).unwrap();
    let key = line.split(": ").last().unwrap().to_owned();
    assert_eq!(ask(&serving.url, None).await.0, 401);
    assert_eq!(ask(&serving.url, Some("rlm_wrong")).await.0, 401);
    assert_eq!(ask(&serving.url, Some(&key)).await.0, 200);
    drop(serving);
    let again = Serving::start(&home, &["-f", "model.yaml", "-f", "tenant.yaml"]);
    assert!(!again.lines.iter().any(|line| line.contains("rlm_")), "shown once: {:?}", again.lines);
    assert_eq!(ask(&again.url, Some(&key)).await.0, 200, "a restart keeps the key");
}

#[tokio::test]
async fn a_tenants_program_runs_from_its_manifest() {
    install_tls();
    let wasm = Guest::refusing(403, "closed", "not today").build();
    let files = FileServer::start(&wasm, vec![Answer::Good]).await;
    let home = Home::with_model();
    home.write("model.yaml", manifest("  access: {anonymous: true}\n"));
    let program = format!(
        "  program:\n    url: {}/p.wasm\n    sha256: {}\n    limits: {{hookMillis: 500, requestMillis: 500}}\n",
        files.url,
        hex::encode(Sha256::digest(&wasm))
    );
    home.write("tenant.yaml", format!("apiVersion: realm.querent.io/v1alpha1\nkind: RealmTenant\nmetadata: {{name: acme}}\nspec:\n  models: [{{name: smollm2}}]\n  apiKeys: [{{name: main, generate: true}}]\n{program}"));
    let serving = Serving::start(&home, &["-f", "model.yaml", "-f", "tenant.yaml"]);
    let line =
        serving.lines.iter().find(|line| line.starts_with("API key main of tenant acme")).unwrap();
    let key = line.split(": ").last().unwrap().to_owned();
    let answered = async {
        loop {
            let (status, answer) = ask(&serving.url, Some(&key)).await;
            if answer["error"]["code"] != "program_preparing" {
                return (status, answer);
            }
        }
    };
    let (status, answer) = tokio::time::timeout(PATIENCE, answered).await.expect("prepared");
    assert_eq!((status, &answer["error"]["message"]), (403, &"not today".into()), "{answer}");
    assert_eq!(ask(&serving.url, None).await.0, 200, "others have no program");
}

/// The test's own client needs the provider too.
fn install_tls() {
    rustls::crypto::ring::default_provider().install_default().ok();
}
