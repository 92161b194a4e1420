//! A server with a tiny model for tenants with agents. A byte is a token, so that texts can be counted by eye.

use std::{ffi::OsString, fs, path::PathBuf, time::Duration};

use realm_engine_server::{
    config::{ConfigSource, Limits},
    program::ProgramOptions,
};
use realm_sandbox::{Compiler, CompilerLimits};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    file_server::{Answer as Reply, FileServer},
    guests::Guest,
    support::{Answer, Events, MODEL, Setup, TestServer, chunks},
    tiny_model::{Meta, TinyModel},
};

/// Tokens that a sequence can hold.
const CONTEXT: u32 = 2048;
/// Ends a turn, and an answer.
const END: u32 = 257;
/// How a conversation is written.
const TEMPLATE: &str = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:";

/// A tenant, its program and what its manifest says beside the address.
pub(crate) struct Tenant {
    pub(crate) name: &'static str,
    pub(crate) guest: Option<Guest>,
    /// Added to the program.
    pub(crate) program: Value,
    /// Of the tenant.
    pub(crate) limits: Value,
}

impl Tenant {
    pub(crate) fn new(name: &'static str, guest: Guest) -> Self {
        Self { guest: Some(guest), ..Self::plain(name) }
    }

    /// One without a program.
    pub(crate) fn plain(name: &'static str) -> Self {
        let limits = json!({"maxConcurrent": null, "maxQueued": null});
        Self { name, guest: None, program: json!({}), limits }
    }

    pub(crate) fn limit(mut self, name: &str, limit: Value) -> Self {
        self.limits[name] = limit;
        self
    }

    pub(crate) fn program(mut self, field: &str, value: Value) -> Self {
        self.program[field] = value;
        self
    }

    /// As it stands in the table of tenants; the key is `key-NAME`.
    async fn entry(&self) -> Value {
        let sha256 = hex::encode(Sha256::digest(format!("key-{}", self.name)));
        let mut entry = json!({
            "namespace": "home", "name": self.name, "suspended": false, "limits": self.limits,
            "keys": [{"name": "main", "sha256": sha256}]
        });
        if let Some(guest) = &self.guest {
            entry["program"] = self.manifest(guest).await;
        }
        entry
    }

    /// With deadlines that a loaded machine does not reach by itself.
    async fn manifest(&self, guest: &Guest) -> Value {
        let wasm = guest.build();
        let files = FileServer::start(&wasm, vec![Reply::Good]).await;
        let mut program = json!({
            "url": format!("{}/program.wasm", files.url),
            "sha256": hex::encode(Sha256::digest(&wasm)),
            "grants": ["Inference"],
            "limits": {
                "hookMillis": 500, "tokenMillis": 500, "requestMillis": 60000, "minuteMillis": 60000,
                "runMillis": 2000
            }
        });
        for (field, value) in self.program.as_object().unwrap() {
            match (program.get_mut(field), value.as_object()) {
                (Some(Value::Object(members)), Some(more)) => members.extend(more.clone()),
                _ => program[field] = value.clone(),
            }
        }
        program
    }
}

pub(crate) struct Server {
    pub(crate) http: TestServer,
    tenants: PathBuf,
    _folder: tempfile::TempDir,
}

/// Serves a tiny model to these tenants.
pub(crate) async fn serve(tenants: &[Tenant]) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut tiny = TinyModel::new();
    tiny.set("llama.context_length", Meta::U32(CONTEXT));
    tiny.set("tokenizer.chat_template", Meta::Text(TEMPLATE.to_owned()));
    tiny.write(&path("tiny.gguf"));
    let compiler = Compiler::new(
        env!("CARGO_BIN_EXE_realm"),
        [OsString::from("compile-program")],
        CompilerLimits::default(),
    );
    let programs = ProgramOptions { folder: path("programs"), compiler };
    let limits = Limits { reload_interval: Duration::from_millis(50), ..Limits::default() };
    let engine =
        json!({"contextLength": CONTEXT, "parallel": 16, "threads": 1, "batchTokens": 256});
    let setup = Setup { programs: Some(programs), limits, ..Setup::default() }
        .config("/anonymous", json!(false))
        .config("/engine", engine);
    fs::write(path("engine.json"), setup.config.to_string()).unwrap();
    fs::write(path("tenants.json"), table(tenants).await).unwrap();
    let source = ConfigSource::files(path("engine.json"), Some(path("tenants.json")));
    let http = setup.serve_file(source, path("tiny.gguf")).await;
    Server { http, tenants: path("tenants.json"), _folder: folder }
}

async fn table(tenants: &[Tenant]) -> String {
    let mut entries = Vec::new();
    for tenant in tenants {
        entries.push(tenant.entry().await);
    }
    let version = hex::encode(Sha256::digest(format!("{entries:?}")));
    json!({"version": version, "tenants": entries}).to_string()
}

impl Server {
    /// Serves these tenants from now on.
    pub(crate) async fn replace(&self, tenants: &[Tenant]) {
        let new = self.tenants.with_extension("new");
        fs::write(&new, table(tenants).await).unwrap();
        fs::rename(new, &self.tenants).unwrap();
    }

    fn request(&self, tenant: &str, body: &Value) -> reqwest::RequestBuilder {
        let path = if body.get("prompt").is_some() { "completions" } else { "chat/completions" };
        self.http.request(&format!("/v1/{path}"), body).bearer_auth(format!("key-{tenant}"))
    }

    pub(crate) async fn post(&self, tenant: &str, body: &Value) -> Answer {
        Answer::of(self.request(tenant, body).send().await.unwrap()).await
    }

    /// Asks until the tenant's program is no longer being prepared.
    pub(crate) async fn ask(&self, tenant: &str, body: &Value) -> Answer {
        let mut answer = self.post(tenant, body).await;
        self.http
            .until("the program is prepared", async || {
                if answer.text.contains("program_preparing") {
                    answer = self.post(tenant, body).await;
                    return false;
                }
                true
            })
            .await;
        answer
    }

    /// Waits until the tenant's program is prepared, without asking it anything.
    pub(crate) async fn prepared(&self, tenant: &str) {
        let label = format!("tenant=\"{tenant}\"");
        self.http
            .until("the program is ready", async || {
                self.http.metric("realm_program_ready", &[&label]).await > 0.0
            })
            .await;
    }

    pub(crate) async fn stream(&self, tenant: &str, body: &Value) -> Events {
        let mut body = body.clone();
        body["stream"] = json!(true);
        let response = self.request(tenant, &body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Events::of(response)
    }

    /// The pieces of a whole stream, and why it ended.
    pub(crate) async fn pieces(&self, tenant: &str, body: &Value) -> (Vec<String>, String) {
        let chunks = chunks(self.stream(tenant, body).await.rest().await);
        let pieces = chunks.iter().filter_map(piece).filter(|piece| !piece.is_empty()).collect();
        let why = chunks.iter().find_map(|chunk| chunk["choices"][0]["finish_reason"].as_str());
        (pieces, why.unwrap_or_default().to_owned())
    }

    pub(crate) async fn metric(&self, name: &str, tenant: &str, label: &str) -> f64 {
        self.http.metric(name, &[&format!("tenant=\"{tenant}\""), label]).await
    }
}

/// Text of a piece of an answer.
pub(crate) fn piece(chunk: &Value) -> Option<String> {
    let choice = &chunk["choices"][0];
    let text = choice["delta"].get("content").or(choice.get("text"));
    text.and_then(Value::as_str).map(str::to_owned)
}

/// A question whose answer has no byte outside ASCII, so that each of its tokens is a character, and no end of its own.
pub(crate) fn chat(content: &str, max_tokens: usize) -> Value {
    json!({
        "model": MODEL, "temperature": 0, "max_tokens": max_tokens, "logit_bias": ascii(),
        "messages": [{"role": "user", "content": content}]
    })
}

/// The same without a template.
pub(crate) fn completion(prompt: &str, max_tokens: usize) -> Value {
    json!({
        "model": MODEL, "temperature": 0, "max_tokens": max_tokens, "logit_bias": ascii(), "prompt": prompt
    })
}

fn ascii() -> Value {
    let banned = (128..=END).map(|token| (token.to_string(), json!(-100)));
    Value::Object(banned.collect())
}

/// Text of a whole answer.
pub(crate) fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    let choice = &answer.json()["choices"][0];
    let text = choice["message"].get("content").or(choice.get("text")).and_then(Value::as_str);
    text.unwrap().to_owned()
}

/// A number of an answer's token counts.
pub(crate) fn used(answer: &Answer, count: &str) -> u64 {
    answer.json()["usage"][count].as_u64().unwrap_or_else(|| panic!("no {count}: {answer:?}"))
}
