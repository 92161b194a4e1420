//! Every wrong request, and the clear error that it gets.

use realm_engine_server::config::Limits;
use serde_json::{Value, json};

use crate::support::{Answer, MODEL, Setup, TestServer};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

/// What an error must say.
struct Expected {
    status: u16,
    code: &'static str,
    param: Option<&'static str>,
    parts: &'static [&'static str],
}

fn check(what: &str, answer: &Answer, expected: &Expected) {
    assert_eq!(answer.status, expected.status, "{what}: {answer:?}");
    let error = &answer.json()["error"];
    let mut fields: Vec<&String> = error.as_object().expect("an error object").keys().collect();
    fields.sort();
    assert_eq!(fields, ["code", "message", "param", "type"], "{what}");
    assert_eq!(error["code"], expected.code, "{what}: {error}");
    assert_eq!(error["param"], json!(expected.param), "{what}: {error}");
    assert!(error["type"].as_str().expect("a type").ends_with("_error"), "{what}: {error}");
    let message = error["message"].as_str().expect("a message");
    for part in expected.parts {
        assert!(message.contains(part), "{what}: {message:?} does not say {part:?}");
    }
    assert!(!answer.header("x-request-id").is_empty(), "{what}");
    assert_eq!(answer.header("access-control-allow-origin"), "*", "{what}");
}

/// A good request with these fields changed.
fn chat(more: Value) -> Value {
    let mut body =
        json!({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1});
    change(&mut body, more);
    body
}

fn text(more: Value) -> Value {
    let mut body = json!({"model": MODEL, "prompt": "Hi", "max_tokens": 1});
    change(&mut body, more);
    body
}

fn change(body: &mut Value, more: Value) {
    let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) else { panic!("objects") };
    body.extend(more);
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let server = Setup::default().serve().await;
    ranges(&server).await;
    types(&server).await;
    messages(&server).await;
    prompts(&server).await;
    unsupported(&server).await;
    harmless(&server).await;
    server.stop().await.expect("a clean end");
}

async fn ranges(server: &TestServer) {
    let cases: &[(Value, &str, &[&str])] = &[
        (json!({"temperature": -0.1}), "temperature", &["-0.1", "between 0 and 2"]),
        (json!({"temperature": 2.1}), "temperature", &["2.1"]),
        (json!({"top_p": 1.5}), "top_p", &["1.5", "between 0 and 1"]),
        (json!({"top_p": -1}), "top_p", &["-1"]),
        (json!({"top_k": -1}), "top_k", &["-1"]),
        (json!({"min_p": 2}), "min_p", &["2"]),
        (json!({"repetition_penalty": 0}), "repetition_penalty", &["0"]),
        (json!({"presence_penalty": 3}), "presence_penalty", &["between -2 and 2"]),
        (json!({"frequency_penalty": -3}), "frequency_penalty", &["-3"]),
        (json!({"max_tokens": 0}), "max_tokens", &["0"]),
        (json!({"max_tokens": -5}), "max_tokens", &["-5"]),
        (
            json!({"max_tokens": 18_446_744_073_709_551_615_u64}),
            "max_tokens",
            &["18446744073709551615"],
        ),
        (
            json!({"max_tokens": 1, "max_completion_tokens": 2}),
            "max_completion_tokens",
            &["1", "2", "only one"],
        ),
        (json!({"n": 0}), "n", &["between 1 and 8"]),
        (json!({"n": 9}), "n", &["9", "between 1 and 8"]),
        (json!({"stop": vec!["a"; 17]}), "stop", &["17", "16"]),
        (json!({"stop": ""}), "stop[0]", &["0 bytes"]),
        (json!({"stop": ["a", "b".repeat(1025)]}), "stop[1]", &["1025"]),
        (json!({"logit_bias": {"5": 101}}), "logit_bias.5", &["101"]),
        (json!({"logit_bias": {"five": 1}}), "logit_bias", &["five"]),
        (json!({"logit_bias": {"49152": 1}}), "logit_bias", &["49152", "49151"]),
        (
            json!({"stream_options": {"include_usage": true}}),
            "stream_options",
            &["`stream` is true"],
        ),
    ];
    for (more, param, parts) in cases {
        for (path, body) in [(CHAT, chat(more.clone())), (TEXT, text(more.clone()))] {
            let answer = server.post(path, &body).await;
            let expected = Expected {
                status: 400,
                code: "invalid_value",
                param: Some(leak(param)),
                parts: leak_all(parts),
            };
            check(&format!("{path} {more}"), &answer, &expected);
        }
    }
    let chat_only: &[(Value, &str)] = &[
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
    ];
    for (more, param) in chat_only {
        let expected =
            Expected { status: 400, code: "invalid_value", param: Some(leak(param)), parts: &[] };
        check(&more.to_string(), &server.post(CHAT, &chat(more.clone())).await, &expected);
    }
    let expected =
        Expected { status: 400, code: "invalid_value", param: Some("logprobs"), parts: &["6"] };
    check("logprobs", &server.post(TEXT, &text(json!({"logprobs": 6}))).await, &expected);
}

/// Cases are tables of literals; their text lives as long as the test anyway.
fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn leak_all(parts: &[&str]) -> &'static [&'static str] {
    Vec::leak(parts.iter().map(|part| leak(part)).collect())
}

async fn types(server: &TestServer) {
    let cases: &[(Value, &str, &str)] = &[
        (json!({"temperature": "NaN"}), "temperature", "a number"),
        (json!({"max_tokens": 1.5}), "max_tokens", "a whole number"),
        (json!({"n": "1"}), "n", "a whole number"),
        (json!({"seed": 1.5}), "seed", "a whole number"),
        (json!({"stream": "yes"}), "stream", "true or false"),
        (json!({"stop": 5}), "stop", "a string or a list of strings"),
        (json!({"stop": [5]}), "stop[0]", "a string"),
        (json!({"logit_bias": []}), "logit_bias", "an object"),
        (json!({"model": 5}), "model", "a string"),
    ];
    for (more, param, part) in cases {
        for (path, body) in [(CHAT, chat(more.clone())), (TEXT, text(more.clone()))] {
            let expected = Expected {
                status: 400,
                code: "invalid_type",
                param: Some(leak(param)),
                parts: leak_all(&[part]),
            };
            check(&format!("{path} {more}"), &server.post(path, &body).await, &expected);
        }
    }
}

async fn messages(server: &TestServer) {
    let message = |message: Value| json!({"messages": [message]});
    let cases: &[(Value, &str, &str, &str)] = &[
        (json!({"messages": null}), "missing_required_parameter", "messages", "missing"),
        (json!({"messages": []}), "invalid_value", "messages", "at least one"),
        (json!({"messages": "hi"}), "invalid_type", "messages", "a list"),
        (message(json!("hi")), "invalid_type", "messages[0]", "an object"),
        (
            message(json!({"content": "hi"})),
            "missing_required_parameter",
            "messages[0].role",
            "missing",
        ),
        (
            message(json!({"role": "user"})),
            "missing_required_parameter",
            "messages[0].content",
            "missing",
        ),
        (
            message(json!({"role": "user", "content": 5})),
            "invalid_type",
            "messages[0].content",
            "a number",
        ),
    ];
    refused_messages(server, cases).await;
    message_fields(server).await;
}

async fn message_fields(server: &TestServer) {
    let message = |message: Value| json!({"messages": [message]});
    let cases: &[(Value, &str, &str, &str)] = &[
        (
            message(json!({"role": "king", "content": "hi"})),
            "unsupported_value",
            "messages[0].role",
            "king",
        ),
        (
            message(json!({"role": "tool", "content": "hi"})),
            "missing_required_parameter",
            "messages[0].tool_call_id",
            "missing",
        ),
        (
            message(json!({"role": "user", "content": "hi", "name": "bob"})),
            "unsupported_parameter",
            "messages[0].name",
            "not supported",
        ),
        (
            message(json!({"role": "user", "content": "hi", "mood": 1})),
            "unknown_parameter",
            "messages[0].mood",
            "unknown",
        ),
        (
            message(
                json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]}),
            ),
            "unsupported_value",
            "messages[0].content[1].type",
            "image_url",
        ),
        (
            message(json!({"role": "user", "content": [{"type": "text"}]})),
            "missing_required_parameter",
            "messages[0].content[0].text",
            "missing",
        ),
    ];
    refused_messages(server, cases).await;
}

async fn refused_messages(server: &TestServer, cases: &[(Value, &str, &str, &str)]) {
    for (more, code, param, part) in cases {
        let expected = Expected {
            status: 400,
            code: leak(code),
            param: Some(leak(param)),
            parts: leak_all(&[part]),
        };
        check(&more.to_string(), &server.post(CHAT, &chat(more.clone())).await, &expected);
    }
}

async fn prompts(server: &TestServer) {
    let cases: &[(Value, &str, &str, &str)] = &[
        (json!({"prompt": null}), "missing_required_parameter", "prompt", "missing"),
        (json!({"prompt": ""}), "invalid_value", "prompt", "empty"),
        (json!({"prompt": []}), "invalid_value", "prompt", "empty"),
        (json!({"prompt": 5}), "invalid_type", "prompt", "a string"),
        (json!({"prompt": [1, 49152]}), "invalid_value", "prompt", "49152"),
        (json!({"prompt": [-1]}), "invalid_value", "prompt[0]", "-1"),
        (json!({"prompt": ["a", 5]}), "invalid_type", "prompt[1]", "a number"),
        (json!({"prompt": vec!["a"; 33]}), "invalid_value", "prompt", "33"),
        (json!({"best_of": 1, "n": 3}), "invalid_value", "best_of", "3"),
        (json!({"echo": "yes"}), "invalid_type", "echo", "a string"),
        (json!({"suffix": "end"}), "unsupported_parameter", "suffix", "fill-in-the-middle"),
        (json!({"prompt": vec![5; 1024]}), "context_length_exceeded", "prompt", "1024 tokens"),
        (json!({"prompt": vec![5; 2000]}), "context_length_exceeded", "prompt", "2000 tokens"),
        (
            json!({"prompt": "word ".repeat(2000)}),
            "context_length_exceeded",
            "prompt",
            "holds 1024",
        ),
        (json!({"prompt": "x".repeat(2 << 20)}), "context_length_exceeded", "prompt", "holds 1024"),
    ];
    for (more, code, param, part) in cases {
        let expected = Expected {
            status: 400,
            code: leak(code),
            param: Some(leak(param)),
            parts: leak_all(&[part]),
        };
        let answer = server.post(TEXT, &text(more.clone())).await;
        check(&more.to_string().chars().take(80).collect::<String>(), &answer, &expected);
    }
    let long = chat(json!({"messages": [{"role": "user", "content": "word ".repeat(1100)}]}));
    let expected = Expected {
        status: 400,
        code: "context_length_exceeded",
        param: Some("messages"),
        parts: &["tokens", "1024"],
    };
    check("a long chat", &server.post(CHAT, &long).await, &expected);
}

async fn unsupported(server: &TestServer) {
    let cases: &[(Value, &str, &str)] = &[
        (json!({"tools": [{"type": "custom"}]}), "unsupported_value", "tools[0].type"),
        (json!({"functions": [{}]}), "unsupported_parameter", "functions"),
        (json!({"parallel_tool_calls": true}), "invalid_value", "parallel_tool_calls"),
        (json!({"tool_choice": "auto"}), "invalid_value", "tool_choice"),
        (json!({"response_format": {"type": "xml"}}), "unsupported_value", "response_format.type"),
        (json!({"modalities": ["text", "audio"]}), "unsupported_value", "modalities"),
        (json!({"audio": {"voice": "x"}}), "unsupported_parameter", "audio"),
        (json!({"reasoning_effort": "low"}), "unsupported_parameter", "reasoning_effort"),
        (json!({"service_tier": "flex"}), "unsupported_value", "service_tier"),
        (json!({"prediction": {}}), "unsupported_parameter", "prediction"),
        (json!({"web_search_options": {}}), "unsupported_parameter", "web_search_options"),
        (json!({"temprature": 0}), "unknown_parameter", "temprature"),
        (json!({"prompt": "hi"}), "unknown_parameter", "prompt"),
        (
            json!({"stream": true, "stream_options": {"usage": true}}),
            "unknown_parameter",
            "stream_options.usage",
        ),
    ];
    for (more, code, param) in cases {
        let expected = Expected {
            status: 400,
            code: leak(code),
            param: Some(leak(param)),
            parts: leak_all(&[param]),
        };
        check(&more.to_string(), &server.post(CHAT, &chat(more.clone())).await, &expected);
    }
}

/// Bookkeeping and values that ask for what is done anyway.
async fn harmless(server: &TestServer) {
    let more = json!({
        "user": "u", "metadata": {"a": "b"}, "store": true, "safety_identifier": "s", "prompt_cache_key": "k",
        "tools": [], "tool_choice": "none", "response_format": {"type": "text"}, "modalities": ["text"],
        "service_tier": "auto", "stop": null, "logit_bias": null, "temperature": null, "n": null, "seed": -1
    });
    server.ask(CHAT, &chat(more)).await;
    let history = json!({"messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]},
        {"role": "assistant", "content": "Hello", "refusal": null, "tool_calls": null, "annotations": []},
        {"role": "user", "content": "Bye"}
    ]});
    server.ask(CHAT, &chat(history)).await;
    server.ask(TEXT, &text(json!({"best_of": 2, "n": 2, "echo": false, "suffix": null}))).await;
}

#[tokio::test]
async fn wrong_http_is_refused_clearly() {
    let limits = Limits { body_bytes: 1000, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.serve().await;
    let raw = async |content_type: Option<&str>, body: &str| {
        let request =
            server.client.post(format!("http://{}{CHAT}", server.api)).body(body.to_owned());
        let request = content_type.map_or(request.try_clone().expect("a copy"), |value| {
            request.header("content-type", value)
        });
        Answer::of(request.send().await.expect("an answer")).await
    };
    let json_type = Some("application/json; charset=utf-8");
    let expected = |status, code, parts| Expected { status, code, param: None, parts };
    check(
        "cut",
        &raw(json_type, "{\n \"model\": ").await,
        &expected(400, "invalid_json", &["line 2 column"]),
    );
    check(
        "NaN",
        &raw(json_type, "{\"temperature\": NaN}").await,
        &expected(400, "invalid_json", &["line 1 column 17"]),
    );
    check(
        "number",
        &raw(json_type, "{\"temperature\": 1e999}").await,
        &expected(400, "invalid_json", &["line 1"]),
    );
    check("empty", &raw(json_type, "").await, &expected(400, "invalid_json", &["line 1 column 0"]));
    check("list", &raw(json_type, "[]").await, &expected(400, "invalid_json", &["not an object"]));
    check(
        "deep",
        &raw(json_type, &"[".repeat(900)).await,
        &expected(400, "invalid_json", &["recursion limit"]),
    );
    check(
        "not UTF-8 escapes",
        &raw(json_type, "{\"model\": \"\\ud800\"}").await,
        &expected(400, "invalid_json", &["line 1"]),
    );
    check(
        "text",
        &raw(Some("text/plain"), "{}").await,
        &expected(415, "unsupported_media_type", &["text/plain"]),
    );
    check(
        "no type",
        &raw(None, "{}").await,
        &expected(415, "unsupported_media_type", &["missing"]),
    );
    check(
        "large",
        &raw(json_type, &" ".repeat(1001)).await,
        &expected(413, "body_too_large", &["1000 bytes"]),
    );
    check(
        "large without a length",
        &chunked(&server, 1001).await,
        &expected(413, "body_too_large", &["1000 bytes"]),
    );

    routes_and_models(&server).await;
    server.stop().await.expect("a clean end");
}

async fn routes_and_models(server: &TestServer) {
    let expected = |status, code, parts| Expected { status, code, param: None, parts };
    let wrong = Expected {
        status: 404,
        code: "model_not_found",
        param: Some("model"),
        parts: &["gpt-9", "smollm2, small"],
    };
    check("model", &server.post(CHAT, &chat(json!({"model": "gpt-9"}))).await, &wrong);
    check("model", &server.get("/v1/models/gpt-9").await, &wrong);
    check(
        "route",
        &server.get("/v2/nothing").await,
        &expected(404, "unknown_route", &["GET /v2/nothing"]),
    );
    check("route", &server.get("/metrics").await, &expected(404, "unknown_route", &["/metrics"]));
    let answer = server.get(CHAT).await;
    check("method", &answer, &expected(405, "method_not_allowed", &["GET", CHAT]));
    assert_eq!(answer.header("allow"), "POST");
}

async fn chunked(server: &TestServer, bytes: usize) -> Answer {
    let pieces = futures::stream::iter(vec![Ok::<_, std::io::Error>(" ".repeat(bytes))]);
    let request = server.client.post(format!("http://{}{CHAT}", server.api));
    let request =
        request.header("content-type", "application/json").body(reqwest::Body::wrap_stream(pieces));
    Answer::of(request.send().await.expect("an answer")).await
}

#[tokio::test]
async fn every_answer_has_an_id_and_models_are_listed() {
    let server = Setup::default().serve().await;
    let list = server.get("/v1/models").await;
    assert_eq!((list.status, &list.json()["object"]), (200, &json!("list")));
    let ids: Vec<Value> = list.json()["data"]
        .as_array()
        .expect("data")
        .iter()
        .map(|model| model["id"].clone())
        .collect();
    assert_eq!(ids, ["smollm2", "small"]);
    let one = server.get("/v1/models/small").await.json();
    assert_eq!((&one["id"], &one["object"]), (&json!("small"), &json!("model")));
    assert!(list.header("x-request-id").starts_with("req-"));
    let asked = server
        .client
        .get(format!("http://{}/v1/models", server.api))
        .header("x-request-id", "mine-1");
    assert_eq!(
        Answer::of(asked.send().await.expect("an answer")).await.header("x-request-id"),
        "mine-1"
    );

    let preflight =
        server.client.request(reqwest::Method::OPTIONS, format!("http://{}{CHAT}", server.api));
    let preflight = preflight
        .header("origin", "https://page.example")
        .header("access-control-request-method", "POST");
    let preflight =
        preflight.header("access-control-request-headers", "authorization,content-type");
    let answer = Answer::of(preflight.send().await.expect("an answer")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-headers"), "authorization,content-type");
}
