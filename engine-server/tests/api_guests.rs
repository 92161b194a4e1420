//! The Rust template's program, as `cargo xtask guests` builds it, in the real server with the real model: personal data
//! reaches neither the model nor the client. `REALM_TEST_GUESTS` names the folder of built programs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

#[path = "support/file_server.rs"]
mod file_server;
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "api_server/support.rs"]
mod support;

use std::{ffi::OsString, path::PathBuf};

use realm_engine_server::{
    config::{ConfigSource, Resolved},
    program::ProgramOptions,
};
use realm_sandbox::{Compiler, CompilerLimits};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use file_server::{Answer as Reply, FileServer};
use support::{Answer, Setup, TestServer};

const KEY: &str = "key-of-the-tenant";
/// A card number whose check digit is right, and one whose is not.
const CARD: &str = "4242 4242 4242 4242";
const ORDER: &str = "1234 5678 9012 3456";

fn program() -> Vec<u8> {
    let folder = std::env::var_os("REALM_TEST_GUESTS")
        .expect("REALM_TEST_GUESTS is not set: run this test with `cargo xtask guests`");
    std::fs::read(PathBuf::from(folder).join("rust.wasm")).unwrap()
}

/// A server whose one tenant has the program.
async fn serve(folder: &tempfile::TempDir) -> TestServer {
    let wasm = program();
    let files = FileServer::start(&wasm, vec![Reply::Good]).await;
    let table = json!({"version": "v1", "tenants": [{
        "namespace": "home", "name": "acme", "suspended": false,
        "keys": [{"name": "main", "sha256": hex::encode(Sha256::digest(KEY))}],
        "program": {
            "url": format!("{}/program.wasm", files.url),
            "sha256": hex::encode(Sha256::digest(&wasm)),
            "grants": ["Log"],
            "limits": {"hookMillis": 1000, "tokenMillis": 1000, "requestMillis": 60000, "minuteMillis": 60000}
        }
    }]});
    let verb = [OsString::from("compile-program")];
    let realm = env!("CARGO_BIN_EXE_realm");
    let compiler =
        Compiler::new(realm, verb, CompilerLimits { cpu_seconds: 60, ..CompilerLimits::default() });
    let programs = ProgramOptions { folder: folder.path().join("programs"), compiler };
    let setup =
        Setup { programs: Some(programs), ..Setup::default() }.config("/anonymous", json!(false));
    let tenants = serde_json::from_value(table).expect("a tenant table");
    let source = ConfigSource::fixed(Resolved { config: setup.parsed(), tenants });
    setup.serve_from(source).await
}

async fn ask(server: &TestServer, content: &str, constraint: &Value) -> Answer {
    let mut body = json!({
        "model": support::MODEL, "temperature": 0, "max_tokens": 120,
        "messages": [{"role": "user", "content": content}]
    });
    if !constraint.is_null() {
        body["response_format"] = constraint.clone();
    }
    let request = server.request("/v1/chat/completions", &body);
    Answer::of(request.bearer_auth(KEY).send().await.unwrap()).await
}

fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

/// Makes the model say exactly this, as a JSON text.
fn saying(words: &str) -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "s", "schema": {"const": words}}})
}

#[tokio::test]
async fn personal_data_reaches_neither_the_model_nor_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder).await;
    let mut answer = ask(&server, "Hi.", &Value::Null).await;
    server
        .until("the program is prepared", async || {
            if answer.text.contains("program_preparing") {
                answer = ask(&server, "Hi.", &Value::Null).await;
                return false;
            }
            true
        })
        .await;
    text(&answer);

    let words =
        format!("Write to help@example.com or call +49 30 1234567. Card {CARD}, order {ORDER}.");
    let answer = text(&ask(&server, "Say it.", &saying(&words)).await);
    let wanted =
        format!("\"Write to [removed] or call [removed]. Card [card number], order {ORDER}.\"");
    assert_eq!(answer, wanted);

    let tokens = |answer: &Answer| answer.json()["usage"]["prompt_tokens"].as_u64().unwrap();
    let with = ask(&server, "I am ada@example.com.", &saying("yes")).await;
    let without = ask(&server, "I am [e-mail address].", &saying("yes")).await;
    assert_eq!(tokens(&with), tokens(&without), "the model reads the same prompt");
    let calls = server.metric("realm_program_calls_total", &["hook=\"on-tokens\""]).await;
    assert!(calls >= 1.0, "the card number wakes the program: {calls}");
}
