//! Tenants' programs over HTTP, with the real model, the real compiler's process and guests from text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_collect,
    reason = "a test fails by panicking, and so do its helpers; texts of guests are not large"
)]

#[path = "support/file_server.rs"]
mod file_server;
#[allow(dead_code, reason = "the sandbox's own tests use more of it")]
#[path = "../../sandbox/tests/sandbox/guests.rs"]
mod guests;
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "api_server/support.rs"]
mod support;

use std::ffi::OsString;

use realm_engine_server::{
    config::{ConfigSource, Resolved},
    program::ProgramOptions,
};
use realm_sandbox::{Compiler, CompilerLimits};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use file_server::{Answer as Reply, FileServer};
use guests::{ANSWER, Guest, PLAN, data, plain, plan, storing};
use support::{Answer, Setup, TestServer, chunks};

/// A tenant with a program, and what its manifest says beside the address.
struct Tenant {
    name: &'static str,
    guest: Option<Guest>,
    spec: Value,
}

fn tenant(name: &'static str, guest: Guest) -> Tenant {
    Tenant { name, guest: Some(guest), spec: json!({}) }
}

struct Server {
    http: TestServer,
    _folder: tempfile::TempDir,
}

/// Serves the model to these tenants; the key of each is `key-NAME`.
async fn serve(tenants: Vec<Tenant>) -> Server {
    let mut entries = Vec::new();
    for Tenant { name, guest, spec } in tenants {
        let sha256 = hex::encode(Sha256::digest(format!("key-{name}")));
        let mut entry = json!({
            "namespace": "home", "name": name, "suspended": false,
            "keys": [{"name": "main", "sha256": sha256}]
        });
        if let Some(guest) = guest {
            entry["program"] = program(&guest.build(), &spec).await;
        }
        entries.push(entry);
    }
    let table = json!({"version": "v1", "tenants": entries});
    let folder = tempfile::tempdir().unwrap();
    let compiler = Compiler::new(
        env!("CARGO_BIN_EXE_realm"),
        [OsString::from("compile-program")],
        CompilerLimits::default(),
    );
    let programs = ProgramOptions { folder: folder.path().join("programs"), compiler };
    let setup =
        Setup { programs: Some(programs), ..Setup::default() }.config("/anonymous", json!(false));
    let tenants = serde_json::from_value(table).expect("a tenant table");
    let source = ConfigSource::fixed(Resolved { config: setup.parsed(), tenants });
    Server { http: setup.serve_from(source).await, _folder: folder }
}

/// The manifest's part, with deadlines that a loaded machine does not reach by itself.
async fn program(wasm: &[u8], spec: &Value) -> Value {
    let files = FileServer::start(wasm, vec![Reply::Good]).await;
    let mut program = json!({
        "url": format!("{}/program.wasm", files.url),
        "sha256": hex::encode(Sha256::digest(wasm)),
        "limits": {"hookMillis": 500, "tokenMillis": 500, "requestMillis": 60000, "minuteMillis": 60000}
    });
    for (field, value) in spec.as_object().unwrap() {
        program[field] = value.clone();
    }
    program
}

impl Server {
    async fn post(&self, tenant: &str, body: &Value) -> Answer {
        // A conversation is a chat, a prompt a completion.
        let path = if body.get("messages").is_some() { "chat/completions" } else { "completions" };
        let request = self.http.request(&format!("/v1/{path}"), body);
        Answer::of(request.bearer_auth(format!("key-{tenant}")).send().await.unwrap()).await
    }

    /// Asks until the tenant's program is no longer being prepared.
    async fn ask(&self, tenant: &str, body: &Value) -> Answer {
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
}

fn chat(max_tokens: usize) -> Value {
    json!({
        "model": support::MODEL, "temperature": 0, "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": "Write one sentence about the sea."}]
    })
}

fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

/// Replaces every run of lower-case letters.
fn redacting() -> Guest {
    let words = [
        (PLAN + plan::REDACT, 3000),
        (PLAN + plan::REDACT + 4, 1),
        (3000, 2048),
        (3004, 6),
        (3008, 1),
        (PLAN + plan::REDACTION, 2056),
        (PLAN + plan::REDACTION + 4, 1),
    ];
    Guest::request(&storing(&words)).with(&data(2048, "[a-z]+")).with(&data(2056, "#"))
}

/// Subscribes to what `bits` says, with a call for each token.
fn filter(bits: u32, on_tokens: &str, on_response: &str) -> Guest {
    let clean = format!("(memory.fill (i32.const {ANSWER}) (i32.const 0) (i32.const 256)) ");
    let words = [(PLAN + plan::SUBSCRIBE, bits), (PLAN + plan::EVERY, 1)];
    Guest {
        on_request: Some(storing(&words)),
        on_tokens: Some(format!("{clean} {on_tokens}")),
        on_response: Some(format!("{clean} {on_response}")),
        ..Guest::filter()
    }
    .with(&data(2048, "short"))
}

#[tokio::test]
async fn a_program_refuses_shapes_and_redacts_its_own_tenants_requests() {
    let short = [(PLAN + plan::MAX_TOKENS, 1), (PLAN + plan::MAX_TOKENS + 4, 2)];
    let server = serve(vec![
        tenant("strict", Guest::refusing(403, "words", "no such talk")),
        tenant("short", Guest::request(&storing(&short))),
        tenant("redacted", redacting()),
        Tenant { name: "plain", guest: None, spec: json!({}) },
    ])
    .await;
    let refused = server.ask("strict", &chat(4)).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["error"]["code"], "words");
    assert_eq!(refused.json()["error"]["message"], "no such talk");

    let plain = text(&server.ask("plain", &chat(12)).await);
    assert!(plain.contains(char::is_lowercase), "{plain}");

    let answer = server.ask("short", &chat(12)).await;
    assert!(plain.starts_with(&text(&answer)));
    assert_eq!(answer.json()["usage"]["completion_tokens"], 2);

    let redacted = text(&server.ask("redacted", &chat(12)).await);
    assert!(redacted.contains('#') && !redacted.contains(char::is_lowercase), "{redacted}");

    let mut body = chat(12);
    body["stream"] = json!(true);
    let streamed = server.ask("redacted", &body).await;
    let events = streamed.text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let streamed: String = chunks(events.map(str::to_owned).collect())
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(streamed, redacted, "as a stream and as a whole");
}

#[tokio::test]
async fn a_program_looks_at_tokens_and_whole_answers() {
    let stop = storing(&[(ANSWER, 5), (ANSWER + 4, 2)]);
    let replace = storing(&[(ANSWER + 4, 1), (ANSWER + 8, 2048), (ANSWER + 12, 5)]);
    let server = serve(vec![
        tenant("stopped", filter(1, &stop, &plain())),
        tenant("replaced", filter(4, &plain(), &replace)),
        tenant("watched", filter(1, &plain(), &plain())),
        Tenant { name: "plain", guest: None, spec: json!({}) },
    ])
    .await;
    let stopped = server.ask("stopped", &chat(50)).await;
    assert_eq!(text(&stopped), "");
    assert_eq!(stopped.json()["choices"][0]["finish_reason"], "content_filter");
    assert!(stopped.json()["usage"]["completion_tokens"].as_u64().unwrap() < 10, "{stopped:?}");
    assert_eq!(text(&server.ask("replaced", &chat(4)).await), "short");
    let watched = text(&server.ask("watched", &chat(12)).await);
    assert_eq!(watched, text(&server.ask("plain", &chat(12)).await));
}

#[tokio::test]
async fn what_a_program_would_not_see_or_would_not_show_is_refused() {
    let prompt = PLAN + plan::PROMPT;
    let rewritten = [(prompt, 1), (prompt + 4, 0), (prompt + 8, 2048), (prompt + 12, 5)];
    let server = serve(vec![
        tenant("rewriting", Guest::request(&storing(&rewritten)).with(&data(2048, "Hello"))),
        tenant("redacted", redacting()),
    ])
    .await;
    let body = |more: Value| {
        let mut body = json!({"model": support::MODEL, "prompt": "The sea", "temperature": 0, "max_tokens": 3});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(server.ask("rewriting", &body(json!({}))).await.status, 200);
    let cases = [
        ("rewriting", json!({"echo": true}), "echo"),
        ("rewriting", json!({"suffix": "!"}), "suffix"),
        ("redacted", json!({"suffix": "!"}), "suffix"),
        ("redacted", json!({"best_of": 2}), "best_of"),
    ];
    for (tenant, more, field) in cases {
        let answer = server.ask(tenant, &body(more)).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["param"]),
            (400, &json!(field)),
            "{answer:?}"
        );
    }
    let echoed = server.ask("redacted", &body(json!({"echo": true, "logprobs": 0}))).await.json();
    let choice = &echoed["choices"][0];
    let said = choice["text"].as_str().unwrap().strip_prefix("The sea").expect("its own prompt");
    assert!(!said.contains(char::is_lowercase), "{said}");
    let known = choice["logprobs"]["tokens"].as_array().unwrap();
    assert_eq!(known.len() as u64, echoed["usage"]["prompt_tokens"].as_u64().unwrap(), "{choice}");
}

#[tokio::test]
async fn a_program_that_fails_ends_its_own_request_and_nothing_else() {
    let endless = "(loop $again (br $again)) (unreachable)";
    let log = r#"(import "realm:tenant/log@0.1.0" "emit" (func $log (param i32 i32 i32)))"#;
    let granted = || Guest::request(&plain()).importing(log);
    let spec =
        |spec: Value, name: &'static str, guest: Guest| Tenant { name, guest: Some(guest), spec };
    let server = serve(vec![
        tenant("endless", Guest::request(endless)),
        tenant("trapping", filter(1, "(unreachable)", &plain())),
        tenant("curious", granted()),
        spec(json!({"grants": ["Log"]}), "granted", granted()),
        spec(json!({"failurePolicy": "Open"}), "open", Guest::request(endless)),
        spec(json!({"sha256": "0".repeat(64)}), "changed", Guest::request(&plain())),
    ])
    .await;
    let cases = [
        ("endless", 422, "program_failed", "deadline"),
        ("trapping", 422, "program_failed", "on-tokens"),
        ("curious", 503, "program_refused", "`log`"),
        ("changed", 503, "program_refused", "sha256"),
    ];
    for (tenant, status, code, words) in cases {
        let answer = server.ask(tenant, &chat(4)).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.json()["error"]["code"], code);
        assert!(answer.text.contains(words), "{answer:?}");
    }
    let granted = text(&server.ask("granted", &chat(4)).await);
    assert_eq!(text(&server.ask("open", &chat(4)).await), granted);
    the_page_counts(&server).await;
    the_health_document_names(&server).await;
}

/// A program with a say in each token, that sees two candidates.
fn sampler(on_logits: &str) -> Guest {
    everything(&plain(), on_logits)
}

/// One instance for both hooks.
fn everything(on_tokens: &str, on_logits: &str) -> Guest {
    let clean = format!("(memory.fill (i32.const {ANSWER}) (i32.const 0) (i32.const 256)) ");
    let words = [(PLAN + plan::SUBSCRIBE, 3), (PLAN + plan::EVERY, 1), (PLAN + plan::TOP, 2)];
    Guest::everything(
        &storing(&words),
        &format!("{clean} {on_tokens}"),
        &format!("{clean} {on_logits}"),
    )
}

#[tokio::test]
async fn a_program_has_a_say_in_each_token() {
    let second = storing(&[(ANSWER, 1), (ANSWER + 4, 1)]);
    let stop = storing(&[(ANSWER, 5), (ANSWER + 4, 2)]);
    // The hook on candidates leaves a mark; the one on tokens takes text away where it finds it.
    let mark = format!("(i32.store (i32.const 4096) (i32.const 1)) {}", plain());
    let marked = format!(
        "(if (i32.load (i32.const 4096)) (then (i32.store (i32.const {ANSWER}) (i32.const 1)))) {}",
        plain()
    );
    let open = json!({"failurePolicy": "Open"});
    let server = serve(vec![
        tenant("first", sampler(&plain())),
        tenant("second", sampler(&second)),
        tenant("stopped", sampler(&stop)),
        tenant("trapping", sampler("(unreachable)")),
        tenant("both", everything(&marked, &mark)),
        Tenant { name: "open", guest: Some(sampler("(unreachable)")), spec: open },
        Tenant { name: "plain", guest: None, spec: json!({}) },
    ])
    .await;
    let plain = text(&server.ask("plain", &chat(12)).await);
    assert_eq!(text(&server.ask("first", &chat(12)).await), plain);
    assert_eq!(text(&server.ask("open", &chat(12)).await), plain);
    let second = server.ask("second", &chat(12)).await;
    assert_ne!(text(&second), plain);
    assert_eq!(second.json()["usage"]["completion_tokens"], 12);
    let stopped = server.ask("stopped", &chat(12)).await;
    assert_eq!(text(&stopped), "");
    assert_eq!(stopped.json()["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(text(&server.ask("both", &chat(12)).await), "", "one instance serves both hooks");
    let trapped = server.ask("trapping", &chat(12)).await;
    assert_eq!(trapped.status, 422, "{trapped:?}");
    assert!(trapped.text.contains("on-logits"), "{trapped:?}");
    let mut two = chat(6);
    two["n"] = json!(2);
    let two = server.ask("second", &two).await.json();
    assert_eq!(
        two["choices"][0]["message"], two["choices"][1]["message"],
        "greedy, each for itself"
    );
}

/// A tool or a schema is kept whatever a program picks, since it sees only what may come next.
#[tokio::test]
async fn a_program_chooses_within_the_clients_schema() {
    let likeliest = storing(&[(ANSWER, 1), (ANSWER + 4, 0)]);
    let server = serve(vec![tenant("picky", sampler(&likeliest))]).await;
    let schema = json!({
        "type": "object", "properties": {"sea": {"type": "boolean"}}, "required": ["sea"],
        "additionalProperties": false
    });
    let mut body = chat(60);
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": true}});
    let answer = text(&server.ask("picky", &body).await);
    let value: Value = serde_json::from_str(&answer).expect("valid JSON");
    assert!(value["sea"].is_boolean(), "{answer}");
}

/// What the tenants of the test of failures did, as its page of metrics tells it.
async fn the_page_counts(server: &Server) {
    let cases = [
        ("realm_program_ready", "granted", "", 1.0),
        ("realm_program_ready", "curious", "", 0.0),
        ("realm_program_calls_total", "granted", "hook=\"on-request\"", 1.0),
        ("realm_program_breaches_total", "endless", "kind=\"deadline\"", 1.0),
        ("realm_program_breaches_total", "trapping", "kind=\"trap\"", 1.0),
        ("realm_program_skipped_total", "open", "", 1.0),
        ("realm_program_skipped_total", "granted", "", 0.0),
    ];
    for round in ["once", "again"] {
        for (name, tenant, label, wanted) in cases {
            let tenant = format!("tenant=\"{tenant}\"");
            let found = server.http.metric(name, &[&tenant, label]).await;
            assert!((found - wanted).abs() < f64::EPSILON, "{round} {name} {tenant}: {found}");
        }
    }
}

/// Of the tenants of that test, those whose programs do not run, and why.
async fn the_health_document_names(server: &Server) {
    let health = reqwest::get(format!("http://{}/health", server.http.management)).await.unwrap();
    let health = Answer::of(health).await.json();
    let programs = health["programs"].as_array().unwrap();
    let told: Vec<_> = programs
        .iter()
        .map(|program| (program["name"].as_str().unwrap(), program["state"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("changed", "Refused"), ("curious", "Refused")], "{health}");
    assert!(programs[0]["message"].as_str().unwrap().contains("sha256"), "{health}");
    assert_eq!(programs[0]["namespace"], "home");
    let open_to_all = server.http.get("/health").await;
    assert_eq!(open_to_all.status, 200);
    assert!(!open_to_all.text.contains("changed"), "tenants see each other: {open_to_all:?}");
}
