//! The limits of a tenant, each reached: what is refused, what the answer says, and that nobody else feels it.

use std::time::{Duration, Instant};

use futures::future::{Either, select};
use jiff::Timestamp;
use realm_engine_server::config::Limits;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    support::{Answer, MODEL, TestServer, endless},
    tenants::{replace, server_with_files, server_with_limits},
};

/// A revoked key is refused within this time.
const IN_FORCE: Duration = Duration::from_secs(3);
const COMPLETIONS: &str = "/v1/completions";

fn tenant(name: &str, limits: &Value) -> Value {
    with_keys(name, &[(&format!("key-{name}"), None)], limits)
}

fn with_keys(name: &str, keys: &[(&str, Option<Timestamp>)], limits: &Value) -> Value {
    let key = |(index, (key, end)): (usize, &(&str, Option<Timestamp>))| {
        let sha256 = hex::encode(Sha256::digest(key.as_bytes()));
        let mut entry = json!({"name": format!("k{index}"), "sha256": sha256});
        if let Some(end) = end {
            entry["expiresAt"] = json!(end.to_string());
        }
        entry
    };
    let keys: Vec<Value> = keys.iter().enumerate().map(key).collect();
    json!({"namespace": "home", "name": name, "suspended": false, "limits": limits, "keys": keys})
}

fn table(version: &str, tenants: &[Value]) -> String {
    json!({"version": version, "tenants": tenants}).to_string()
}

/// A prompt of so many tokens, and as many of an answer that does not end by itself.
fn order(prompt: usize, answer: usize) -> Value {
    json!({"model": MODEL, "prompt": vec![28; prompt], "max_tokens": answer, "temperature": 0,
           "logit_bias": {"0": -100, "2": -100}})
}

async fn ask(server: &TestServer, key: &str, body: &Value) -> Answer {
    let request = server.request(COMPLETIONS, body).bearer_auth(key);
    Answer::of(request.send().await.expect("an answer")).await
}

fn number(answer: &Answer, header: &str) -> u64 {
    answer.header(header).parse().unwrap_or_else(|_| panic!("{header}: {answer:?}"))
}

/// 429 by this limit, in the code, in words and with a time to wait.
fn assert_refused(answer: &Answer, field: &str, code: &str) {
    assert_eq!(answer.status, 429, "{answer:?}");
    let error = &answer.json()["error"];
    assert_eq!((&error["code"], &error["type"]), (&json!(code), &json!("rate_limit_error")));
    assert!(error["message"].as_str().expect("text").contains(field), "{error}");
    assert!((1..=86_400).contains(&number(answer, "retry-after")), "{answer:?}");
}

async fn in_use(server: &TestServer, version: &str) {
    server
        .until("the new table is in use", async || {
            server.get("/health").await.json()["tenantsVersion"] == version
        })
        .await;
}

#[tokio::test]
async fn requests_of_a_minute_are_counted_told_and_refused() {
    let limits = json!({"requestsPerMinute": 2});
    let tenants = [tenant("a", &limits), tenant("b", &json!({}))];
    let (server, files) = server_with_files(&table("v1", &tenants)).await;
    for left in [1, 0] {
        let answer = ask(&server, "key-a", &order(2, 1)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(number(&answer, "x-ratelimit-limit-requests"), 2);
        assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), left);
        assert!(answer.header("x-ratelimit-reset-requests").ends_with('s'), "{answer:?}");
    }
    let refused = ask(&server, "key-a", &order(2, 1)).await;
    assert_refused(&refused, "requestsPerMinute", "requests_per_minute_exceeded");
    assert_eq!(number(&refused, "x-ratelimit-remaining-requests"), 0);
    let of_a = ["tenant=\"a\"", "limit=\"requestsPerMinute\""];
    assert_eq!(server.metric("realm_limit_refusals_total", &of_a).await, 1.0);

    let other = ask(&server, "key-b", &order(2, 1)).await;
    assert_eq!((other.status, other.header("x-ratelimit-limit-requests")), (200, ""));

    let more = [tenant("a", &limits), tenant("b", &json!({})), tenant("c", &json!({}))];
    replace(&files.tenants, &table("v2", &more));
    in_use(&server, "v2").await;
    let kept = ask(&server, "key-a", &order(2, 1)).await;
    assert_refused(&kept, "requestsPerMinute", "requests_per_minute_exceeded");
    replace(&files.tenants, &table("v3", &[tenant("a", &json!({"requestsPerMinute": 50}))]));
    in_use(&server, "v3").await;
    assert_eq!(ask(&server, "key-a", &order(2, 1)).await.status, 200, "the new limit applies");
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn tokens_of_a_minute_are_counted_apart() {
    let tenants = [
        tenant("in", &json!({"inputTokensPerMinute": 10})),
        tenant("out", &json!({"outputTokensPerMinute": 20})),
    ];
    let (server, _files) = server_with_files(&table("v1", &tenants)).await;
    let first = ask(&server, "key-in", &order(8, 1)).await;
    assert_eq!((first.status, number(&first, "x-ratelimit-limit-tokens")), (200, 10));
    let left = number(&first, "x-ratelimit-remaining-tokens");
    assert!((2..=5).contains(&left), "10 less 8, and what came back meanwhile: {left}");
    let refused = ask(&server, "key-in", &order(8, 1)).await;
    assert_refused(&refused, "inputTokensPerMinute", "input_tokens_per_minute_exceeded");
    let never = ask(&server, "key-in", &order(11, 1)).await;
    let code = never.json()["error"]["code"].clone();
    assert_eq!((never.status, code), (400, json!("input_tokens_per_minute_exceeded")));
    assert_eq!(never.header("retry-after"), "", "no time helps");

    assert_eq!(ask(&server, "key-out", &order(8, 18)).await.status, 200);
    let refused = ask(&server, "key-out", &order(8, 18)).await;
    assert_refused(&refused, "outputTokensPerMinute", "output_tokens_per_minute_exceeded");
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn a_stream_that_is_cut_gives_back_what_it_did_not_use() {
    let tenants = [tenant("a", &json!({"tokensPerDay": 1000}))];
    let (server, _files) = server_with_files(&table("v1", &tenants)).await;
    let mut body = order(8, 900);
    body["stream"] = json!(true);
    let request = server.request(COMPLETIONS, &body).bearer_auth("key-a");
    let mut stream = request.send().await.expect("an answer");
    assert_eq!(stream.status(), 200);
    stream.chunk().await.expect("bytes").expect("an event");
    let refused = ask(&server, "key-a", &order(8, 200)).await;
    assert_refused(&refused, "tokensPerDay", "tokens_per_day_exceeded");
    drop(stream);
    server
        .until("the rest is given back", async || {
            ask(&server, "key-a", &order(8, 100)).await.status == 200
        })
        .await;
    let left = number(&ask(&server, "key-a", &order(8, 1)).await, "x-ratelimit-remaining-tokens");
    assert!((1..=1000 - 8 - 1 - 108 - 9).contains(&left), "what was computed counts: {left}");
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn more_at_a_time_wait_and_more_than_those_are_refused() {
    let limits = json!({"maxConcurrent": 1, "maxQueued": 1});
    let tenants = [tenant("a", &limits), tenant("b", &json!({}))];
    let (server, _files) = server_with_files(&table("v1", &tenants)).await;
    let mut body = endless(900);
    body["stream"] = json!(true);
    let request = server.request("/v1/chat/completions", &body).bearer_auth("key-a");
    let mut stream = request.send().await.expect("an answer");
    stream.chunk().await.expect("bytes").expect("an event");
    let small = order(2, 1);
    let (one, two) = (ask(&server, "key-a", &small), ask(&server, "key-a", &small));
    let (first, waiting) = match select(Box::pin(one), Box::pin(two)).await {
        Either::Left((answer, other)) | Either::Right((answer, other)) => (answer, other),
    };
    assert_refused(&first, "maxQueued", "max_queued_exceeded");
    assert_eq!(
        ask(&server, "key-b", &small).await.status,
        200,
        "another tenant has its own places"
    );
    drop(stream);
    assert_eq!(waiting.await.status, 200, "its turn came");
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn long_prompts_and_answers_are_refused_or_cut_as_openai_does() {
    let limits = json!({"maxContextTokens": 32, "maxOutputTokens": 8});
    let (server, _files) = server_with_files(&table("v1", &[tenant("a", &limits)])).await;
    let long = ask(&server, "key-a", &order(40, 1)).await;
    let error = long.json()["error"].clone();
    assert_eq!((long.status, &error["code"]), (400, &json!("context_length_exceeded")));
    assert!(error["message"].as_str().expect("text").contains("maxContextTokens"), "{error}");
    let much = ask(&server, "key-a", &order(2, 9)).await;
    let error = much.json()["error"].clone();
    assert_eq!((much.status, &error["param"]), (400, &json!("max_tokens")));
    assert!(error["message"].as_str().expect("text").contains("maxOutputTokens"), "{error}");
    let mut silent = order(2, 1);
    silent.as_object_mut().expect("an object").remove("max_tokens");
    let cut = ask(&server, "key-a", &silent).await.json();
    assert_eq!(
        (&cut["usage"]["completion_tokens"], &cut["choices"][0]["finish_reason"]),
        (&json!(8), &json!("length"))
    );
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn keys_rotate_expire_and_are_suspended_beside_an_open_stream() {
    let none = json!({});
    let two = [("key-old", None), ("key-new", None)];
    let (server, files) =
        server_with_limits(&table("v1", &[with_keys("a", &two[..1], &none)]), Limits::default())
            .await;
    let status = async |key: &str| {
        let answer = ask(&server, key, &order(2, 1)).await;
        let code =
            if answer.status == 200 { Value::Null } else { answer.json()["error"]["code"].clone() };
        (answer.status, code)
    };
    let ok = (200, Value::Null);
    assert_eq!((status("key-old").await, status("key-new").await.0), (ok.clone(), 401));

    replace(&files.tenants, &table("v2", &[with_keys("a", &two, &none)]));
    in_use(&server, "v2").await;
    assert_eq!((status("key-old").await, status("key-new").await), (ok.clone(), ok.clone()));
    let body = endless(900);
    let request = server.request("/v1/chat/completions", &body).bearer_auth("key-old");
    let mut stream = request.send().await.expect("an answer");
    stream.chunk().await.expect("bytes").expect("an event");

    let end = Timestamp::now();
    let old_ends = [("key-old", Some(end)), ("key-new", None)];
    replace(&files.tenants, &table("v3", &[with_keys("a", &old_ends, &none)]));
    let expired = (401, json!("api_key_expired"));
    server.until("the old key has ended", async || status("key-old").await == expired).await;
    assert_eq!(status("key-new").await, ok);

    let since = Instant::now();
    replace(&files.tenants, &table("v4", &[with_keys("a", &two[1..], &none)]));
    let revoked = (401, json!("invalid_api_key"));
    server.until("the old key is revoked", async || status("key-old").await == revoked).await;
    assert!(since.elapsed() < IN_FORCE, "after {:?}", since.elapsed());

    let mut suspended = with_keys("a", &two[1..], &none);
    suspended["suspended"] = json!(true);
    replace(&files.tenants, &table("v5", &[suspended]));
    let refused = (403, json!("tenant_suspended"));
    server.until("the tenant is suspended", async || status("key-new").await == refused).await;
    let rest = stream.text().await.expect("the rest of the stream");
    assert!(rest.contains("\"finish_reason\":\"length\"") && rest.contains("[DONE]"), "{rest}");
    server.stop().await.expect("a clean end");
}
