//! Agents of tenants over HTTP: guests from text that drive generation on a real engine with a tiny model.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_collect,
    reason = "a test fails by panicking, and so do its helpers; texts of guests are not large"
)]

#[path = "api_agents/guests.rs"]
mod agents;
#[path = "support/file_server.rs"]
mod file_server;
#[allow(dead_code, reason = "the sandbox's own tests use more of it")]
#[path = "../../sandbox/tests/sandbox/guests.rs"]
mod guests;
#[path = "api_agents/server.rs"]
mod server;
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "api_server/support.rs"]
mod support;
#[path = "../../engine/tests/support/tiny_model.rs"]
mod tiny_model;

use futures::future::join_all;
use serde_json::{Value, json};

use agents::{LEFT, READ, TEXT, WORDS, agent, best_of_three, endless, failure, plain, sending};
use guests::{ANSWER, Guest, data, storing};
use server::{Tenant, chat, completion, piece, serve, text, used};

/// Longer than two pages of the KV cache.
const LONG: &str =
    "Write one sentence about the sea, another about the land, and a third about the air above.";

#[tokio::test]
async fn an_agent_that_only_generates_answers_as_the_model_does() {
    let server = serve(&[Tenant::new("agent", plain()), Tenant::plain("plain")]).await;
    let mut warm = chat("Tell me.", 20);
    warm["temperature"] = json!(1);
    warm["seed"] = json!(7);
    let mut stopped = chat("Tell me.", 20);
    let greedy = text(&server.ask("plain", &stopped).await);
    stopped["stop"] = json!([&greedy[10..12]]);
    let tokens = json!([65, 66, 67]);
    let mut of_tokens = completion("", 20);
    of_tokens["prompt"] = tokens;
    for body in [chat("Tell me.", 20), warm, stopped, completion("Once upon", 20), of_tokens] {
        let (agent, plain) = (server.ask("agent", &body).await, server.ask("plain", &body).await);
        assert_eq!(text(&agent), text(&plain), "{body}");
        let choice = |answer: &support::Answer| answer.json()["choices"][0].clone();
        assert_eq!(choice(&agent)["finish_reason"], choice(&plain)["finish_reason"], "{body}");
        assert_eq!(used(&agent, "prompt_tokens"), used(&plain, "prompt_tokens"));
        let (pieces, why) = server.pieces("agent", &body).await;
        assert_eq!(
            (pieces.concat(), why),
            (text(&plain), json_text(&choice(&plain)["finish_reason"]))
        );
    }
    let answer = server.ask("agent", &chat("Tell me.", 20)).await;
    assert_eq!(used(&answer, "completion_tokens"), 20);
}

fn json_text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_best_of_three_forks_computes_the_prompt_once() {
    const SPAN: usize = 6;
    let agent = Tenant::new("agent", best_of_three(SPAN as u32));
    let server = serve(&[agent, Tenant::plain("plain")]).await;
    let mut body = chat(LONG, 100);
    body["temperature"] = json!(1);
    body["seed"] = json!(41);
    let answer = server.ask("agent", &body).await;
    let mut spans = Vec::new();
    for seed in 41..44 {
        let mut one = body.clone();
        one["seed"] = json!(seed);
        one["max_tokens"] = json!(SPAN);
        spans.push(text(&server.ask("plain", &one).await));
    }
    let best = spans.iter().max_by_key(|span| span.as_bytes()[0]).unwrap();
    assert_eq!(text(&answer), *best, "{spans:?}");
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "stop");
    assert_eq!(used(&answer, "completion_tokens"), 3 * SPAN as u64);
    let prompt = used(&answer, "prompt_tokens");
    let cached = server.metric("realm_cached_prompt_tokens_total", "agent", "").await;
    let pages = prompt / 32 * 32;
    assert!(cached >= 2.0 * pages as f64, "{cached} of {prompt} twice");
    let counted = server.metric("realm_prompt_tokens_total", "agent", "").await;
    assert!((counted - prompt as f64).abs() < 0.5, "a fork reads nothing: {counted} of {prompt}");
}

#[tokio::test]
async fn what_an_agent_sends_and_its_result_are_one_answer() {
    let all = WORDS.len() as u32;
    let other = agent(&format!(
        "{READ} (call $emit (i32.const {}) (i32.const 3) (i32.const 4100)) (call $answer (i32.const {TEXT}) (i32.const 3))",
        TEXT + 4
    ));
    let server = serve(&[
        Tenant::new("sent", sending(5, 0)),
        Tenant::new("result", agent(&format!("(call $answer (i32.const {TEXT}) (i32.const {all}))"))),
        Tenant::new("more", agent(&format!(
            "(call $emit (i32.const {TEXT}) (i32.const 4) (i32.const 4100)) (call $answer (i32.const {TEXT}) (i32.const {all}))"
        ))),
        Tenant::new("other", other),
        Tenant::plain("plain"),
    ])
    .await;
    for body in [chat("Say.", 5), completion("Say.", 5)] {
        let span = text(&server.ask("plain", &body).await);
        let sent = format!("one {span}");
        // Tenant, whole answer, pieces of a stream, why it ended.
        let cases: [(&str, &str, &[&str], &str); 4] = [
            ("sent", &sent, &["one ", &span], "length"),
            ("result", WORDS, &[WORDS], "stop"),
            ("more", WORDS, &["one ", "two"], "stop"),
            ("other", "one", &["two"], "stop"),
        ];
        for (tenant, whole, pieces, why) in cases {
            let answer = server.ask(tenant, &body).await;
            assert_eq!(text(&answer), whole, "{tenant}");
            assert_eq!(answer.json()["choices"][0]["finish_reason"], why, "{tenant}");
            let (found, found_why) = server.pieces(tenant, &body).await;
            assert_eq!(
                (found, found_why.as_str()),
                (pieces.iter().map(|&piece| piece.to_owned()).collect(), why)
            );
        }
        let mut stopped = body.clone();
        stopped["stop"] = json!(["e t"]);
        assert_eq!(text(&server.ask("result", &stopped).await), "on");
        let (pieces, why) = server.pieces("more", &stopped).await;
        assert_eq!((pieces.concat(), why), ("on".to_owned(), "stop".to_owned()));
    }
}

#[tokio::test]
async fn the_requests_tokens_and_the_tenants_limits_end_what_an_agent_may_spend() {
    let reading = agent(&format!(
        "{READ}
         (loop $again
           (call $truncate (local.get $a) (i32.const 0) (i32.const 4100))
           (call $append_text (local.get $a) (i32.const {TEXT}) (i32.const 7) (i32.const {LEFT}))
           (br_if $again (i32.eqz (i32.load8_u (i32.const {LEFT})))))
         (call $failed (i32.const {})) (call $nothing)",
        failure::BUDGET
    ));
    let growing = agent(&format!(
        "{READ}
         (loop $again
           (call $append_text (local.get $a) (i32.const {TEXT}) (i32.const 7) (i32.const {LEFT}))
           (br_if $again (i32.eqz (i32.load8_u (i32.const {LEFT})))))
         (call $failed (i32.const {})) (call $nothing)",
        failure::TOO_LONG
    ));
    let server = serve(&[
        Tenant::new("asked", endless(4, failure::BUDGET)),
        Tenant::new("silent", endless(4, failure::BUDGET))
            .limit("outputTokensPerMinute", json!(40)),
        Tenant::new("reading", reading).limit("inputTokensPerMinute", json!(100)),
        Tenant::new("growing", growing).limit("maxContextTokens", json!(60)),
    ])
    .await;
    let asked = server.ask("asked", &chat("Go.", 10)).await;
    assert_eq!(text(&asked), "one");
    assert_eq!(used(&asked, "completion_tokens"), 10, "two spans of 4 and what was left");
    assert_eq!(asked.json()["choices"][0]["finish_reason"], "length");

    let mut body = chat("Go.", 10);
    body.as_object_mut().unwrap().remove("max_tokens");
    let silent = server.ask("silent", &body).await;
    let used_up = used(&silent, "completion_tokens");
    assert!((40..48).contains(&used_up), "{used_up}");
    let refused = server.post("silent", &chat("Go.", 10)).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["code"], "output_tokens_per_minute_exceeded");

    assert_eq!(text(&server.ask("reading", &body).await), "");
    let refused = server.post("reading", &body).await;
    assert_eq!(refused.json()["error"]["code"], "input_tokens_per_minute_exceeded", "{refused:?}");
    let read = server.metric("realm_prompt_tokens_total", "reading", "").await;
    assert!((80.0..110.0).contains(&read), "{read}");
    let limit = "limit=\"inputTokensPerMinute\"";
    assert!(server.metric("realm_limit_refusals_total", "reading", limit).await >= 2.0);

    assert_eq!(text(&server.ask("growing", &chat("Go.", 1)).await), "");
}

#[tokio::test]
async fn an_agent_whose_client_goes_away_ends_at_its_next_call() {
    let agent = Tenant::new("agent", endless(8, failure::CANCELLED))
        .limit("maxConcurrent", json!(1))
        .program("limits", json!({"runSeconds": 600}));
    let server = serve(&[agent]).await;
    server.prepared("agent").await;
    let body = chat("Go.", 1_000_000);
    let mut stream = server.stream("agent", &body).await;
    let sent = loop {
        let event: Value = serde_json::from_str(&stream.next().await.unwrap()).unwrap();
        match piece(&event) {
            Some(text) if !text.is_empty() => break text,
            _ => {}
        }
    };
    assert_eq!(sent, "one", "while the agent goes on");
    drop(stream);
    runs_ended(&server, 1.0).await;
    // Its place is free, and a client that goes away at once leaves nothing behind either.
    drop(server.stream("agent", &body).await);
    runs_ended(&server, 2.0).await;
    // Nor does one that waits for a whole answer.
    let produced = server.metric("realm_output_tokens_total", "agent", "").await;
    {
        let whole = server.post("agent", &body);
        let generates = server.http.until("the agent generates", async || {
            server.metric("realm_output_tokens_total", "agent", "").await > produced
        });
        tokio::select! {
            answer = whole => panic!("an answer without an end: {answer:?}"),
            () = generates => {}
        }
    }
    runs_ended(&server, 3.0).await;
    assert!(server.metric("realm_program_breaches_total", "agent", "").await < 1.0);
    server
        .http
        .until("the sequences end", async || {
            server.metric("realm_requests_running", "agent", "").await < 1.0
        })
        .await;
}

/// Waits until so many of the agent's runs have ended.
async fn runs_ended(server: &server::Server, runs: f64) {
    server
        .http
        .until("the run ends", async || {
            server.metric("realm_program_calls_total", "agent", "hook=\"run\"").await >= runs
        })
        .await;
}

#[tokio::test]
async fn an_agent_that_fails_ends_its_own_request_with_its_own_error() {
    let flood = "(loop $again (call $emit (i32.const 0) (i32.const 60000) (i32.const 4100)) (br $again)) (unreachable)";
    let calls = "(loop $again (drop (call $cancelled)) (br $again)) (unreachable)";
    let refusing =
        storing(&[(ANSWER, 1), (ANSWER + 4, 403), (ANSWER + 16, TEXT), (ANSWER + 20, 3)]);
    let slow = endless(64, failure::CANCELLED);
    let server = serve(&[
        Tenant::new("trapping", agent("(unreachable)")),
        Tenant::new("looping", agent("(loop $again (br $again)) (unreachable)"))
            .program("limits", json!({"runMillis": 20})),
        Tenant::new("flooding", agent(flood)),
        Tenant::new("calling", agent(calls)),
        Tenant::new("slow", slow).program("limits", json!({"runSeconds": 1})),
        Tenant::new("refusing", agent(&refusing)),
        Tenant::new("open", agent("(unreachable)")).program("failurePolicy", json!("Open")),
        Tenant::new("forging", agent("(drop (call $length (i32.const 1))) (unreachable)")),
        Tenant::new("good", plain()),
    ])
    .await;
    let good = text(&server.ask("good", &chat("Go.", 4)).await);
    let cases = [
        ("trapping", 422, "program_failed", "trapped"),
        ("looping", 422, "program_failed", "deadline"),
        ("flooding", 422, "program_failed", "bytes to the client"),
        ("calling", 422, "program_failed", "capabilities"),
        ("slow", 422, "program_failed", "runSeconds"),
        ("refusing", 403, "refused_by_program", "one"),
        ("open", 422, "program_failed", "trapped"),
        ("forging", 422, "program_failed", "run"),
    ];
    for (tenant, status, code, words) in cases {
        let answer = server.ask(tenant, &chat("Go.", 1_000_000)).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code)),
            "{tenant}: {answer:?}"
        );
        assert!(answer.text.contains(words), "{answer:?}");
    }
    let events = server.stream("refusing", &chat("Go.", 4)).await.rest().await;
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "refused_by_program", "{events:?}");
    assert_eq!(text(&server.ask("good", &chat("Go.", 4)).await), good);
    the_breaker_counts(&server).await;
}

/// A third fault within a minute stops a program for a while.
async fn the_breaker_counts(server: &server::Server) {
    for _ in 0..2 {
        assert_eq!(server.post("trapping", &chat("Go.", 4)).await.status, 422);
    }
    let stopped = server.post("trapping", &chat("Go.", 4)).await;
    assert_eq!(
        (stopped.status, &stopped.json()["error"]["code"]),
        (503, &json!("program_unavailable"))
    );
    let traps = server.metric("realm_program_breaches_total", "trapping", "kind=\"trap\"").await;
    assert!((traps - 3.0).abs() < 0.5, "{traps}");
    let late = server.metric("realm_program_breaches_total", "slow", "kind=\"run_time\"").await;
    assert!((late - 1.0).abs() < 0.5, "{late}");
}

#[tokio::test]
async fn agents_of_two_tenants_share_nothing() {
    let server = serve(&[
        Tenant::new("one", best_of_three(8)),
        Tenant::new("two", plain()),
        Tenant::plain("plain"),
    ])
    .await;
    let body = chat(LONG, 40);
    let expected = text(&server.ask("plain", &body).await);
    let (one, two) = tokio::join!(server.ask("one", &body), server.ask("two", &body));
    assert_eq!(text(&two), expected);
    assert_eq!(text(&one), expected[..8], "greedy forks are alike");
    for (tenant, answer) in [("one", &one), ("two", &two)] {
        let cached = &answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"];
        assert_eq!(cached, 0, "{tenant} finds nothing of another's");
    }
    let again = server.ask("two", &body).await;
    let cached = &again.json()["usage"]["prompt_tokens_details"]["cached_tokens"];
    assert!(cached.as_u64().unwrap() >= 32, "its own it finds: {again:?}");
}

#[tokio::test]
async fn sixteen_agents_at_once_answer_as_one_does() {
    let server = serve(&[Tenant::new("agent", best_of_three(5))]).await;
    let question = |index: usize| {
        let mut body = chat(&format!("Question {index}."), 30);
        body["temperature"] = json!(1);
        body["seed"] = json!(index * 100);
        body
    };
    let mut alone = Vec::new();
    for index in 0..16 {
        alone.push(text(&server.ask("agent", &question(index)).await));
    }
    let bodies: Vec<_> = (0..16).map(question).collect();
    let together = join_all(bodies.iter().map(|body| server.post("agent", body))).await;
    let together: Vec<_> = together.iter().map(text).collect();
    assert_eq!(together, alone);
}

#[tokio::test]
async fn an_agent_ends_as_it_began_when_its_tenants_program_changes() {
    let long = agent(&format!(
        "{READ}
         (call $emit (i32.const {TEXT}) (i32.const 4) (i32.const 4100))
         (loop $again
           (call $say (local.get $a) (i32.const 1)) (call $ok)
           (call $truncate (local.get $a) (i32.const 8) (i32.const 4100))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $n) (i32.const 1500))))
         (call $emit (i32.const {}) (i32.const 3) (i32.const 4100)) (call $nothing)",
        TEXT + 4
    ));
    let patient = json!({"runSeconds": 600});
    let server = serve(&[Tenant::new("agent", long).program("limits", patient)]).await;
    server.prepared("agent").await;
    let mut stream = server.stream("agent", &chat("Go.", 2000)).await;
    let first = stream.next().await.unwrap();
    assert!(first.contains("assistant"), "{first}");
    let first = stream.next().await.unwrap();
    assert!(first.contains("one "), "{first}");
    server.replace(&[Tenant::new("agent", Guest::refusing(403, "new", "a new program"))]).await;
    server
        .http
        .until("the new program answers", async || {
            server.post("agent", &chat("Go.", 1)).await.status == 403
        })
        .await;
    let rest = support::chunks(stream.rest().await);
    assert_eq!(rest.iter().filter_map(piece).collect::<String>(), "two");
    assert_eq!(rest.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn an_agent_looks_ahead_and_keeps_a_form() {
    const FORM: &str = "[a-c]{4}";
    // Writes each of three tokens as three letters.
    let top = agent(&format!(
        "{READ}
         (call $top (local.get $a) (i32.const 3) (i32.const {LEFT})) (call $ok)
         (if (i32.ne (i32.load (i32.const {size})) (i32.const 3)) (then (unreachable)))
         (local.set $b (i32.load (i32.const {at})))
         (if (i32.eqz (f32.gt (f32.load offset=4 (local.get $b)) (f32.load offset=12 (local.get $b)))) (then (unreachable)))
         (local.set $c (i32.const 3000))
         (loop $again
           (call $letter (local.get $c) (i32.shr_u (i32.load (local.get $b)) (i32.const 8)))
           (call $letter (i32.add (local.get $c) (i32.const 1)) (i32.shr_u (i32.load (local.get $b)) (i32.const 4)))
           (call $letter (i32.add (local.get $c) (i32.const 2)) (i32.load (local.get $b)))
           (local.set $b (i32.add (local.get $b) (i32.const 8)))
           (local.set $c (i32.add (local.get $c) (i32.const 3)))
           (br_if $again (i32.lt_u (local.get $c) (i32.const 3009))))
         (call $answer (i32.const 3000) (i32.const 9))",
        at = LEFT + 4,
        size = LEFT + 8
    ))
    .with(
        "(func $letter (param $at i32) (param $number i32)
           (i32.store8 (local.get $at)
             (i32.add (i32.const 97) (i32.and (local.get $number) (i32.const 15)))))",
    );
    let form = agent(&format!(
        "{READ}
         (call $say_as (local.get $a) (i32.const 50) (i32.const 3000) (i32.const 4)) (call $failed (i32.const {}))
         (call $say_as (local.get $a) (i32.const 50) (i32.const 3000) (i32.const {})) (call $ok)
         (call $answer_span)",
        failure::REFUSED,
        FORM.len()
    ))
    .with(&data(3000, FORM));
    let server =
        serve(&[Tenant::new("top", top), Tenant::new("form", form), Tenant::plain("plain")]).await;
    let mut body = chat("Once upon a time", 1);
    let found = server.ask("top", &body).await;
    assert_eq!(text(&found), likeliest(&server, &mut body).await);
    assert_eq!(used(&found, "completion_tokens"), 1, "costs what a token costs");

    let kept = text(&server.ask("form", &chat("Go.", 50)).await);
    assert_eq!(kept.len(), 4);
    assert!(kept.bytes().all(|byte| (b'a'..=b'c').contains(&byte)), "{kept}");
}

/// Two texts that an agent weighs against each other, without a token left to generate for it.
#[tokio::test]
async fn an_agent_scores_continuations_as_the_model_tells_them_to_a_client() {
    // Writes the thousandths of the second score as letters, four bits each.
    let scoring = agent(&format!(
        "{READ}
         (i32.store (i32.const 3000) (i32.const {TEXT})) (i32.store (i32.const 3004) (i32.const 7))
         (i32.store (i32.const 3008) (i32.const {TEXT})) (i32.store (i32.const 3012) (i32.const 3))
         (call $score (local.get $a) (i32.const 3000) (i32.const 2) (i32.const {LEFT})) (call $ok)
         (if (i32.ne (i32.load (i32.const {size})) (i32.const 2)) (then (unreachable)))
         (local.set $b (i32.load (i32.const {at})))
         (if (i32.eqz (f32.lt (f32.load (local.get $b)) (f32.load offset=4 (local.get $b)))) (then (unreachable)))
         (local.set $n (i32.trunc_f32_s (f32.mul (f32.const -1000) (f32.load offset=4 (local.get $b)))))
         (local.set $c (i32.const 3104))
         (loop $again
           (local.set $c (i32.sub (local.get $c) (i32.const 1)))
           (i32.store8 (local.get $c) (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15))))
           (local.set $n (i32.shr_u (local.get $n) (i32.const 4)))
           (br_if $again (i32.gt_u (local.get $c) (i32.const 3100))))
         (call $answer (i32.const 3100) (i32.const 4))",
        at = LEFT + 4,
        size = LEFT + 8
    ));
    let server = serve(&[Tenant::new("scoring", scoring), Tenant::plain("plain")]).await;
    let found = server.ask("scoring", &completion("Once upon", 1)).await;
    let letters = text(&found);
    let thousandths = letters.bytes().fold(0, |sum, letter| 16 * sum + i64::from(letter - b'a'));
    let mut body = completion("Once uponone", 0);
    body["echo"] = json!(true);
    body["logprobs"] = json!(0);
    let told = server.ask("plain", &body).await.json();
    let told = told["choices"][0]["logprobs"]["token_logprobs"].as_array().unwrap();
    let sum: f64 = told[told.len() - 3..].iter().map(|entry| entry.as_f64().unwrap()).sum();
    assert!((sum * -1000.0 - thousandths as f64).abs() < 2.0, "{sum} and {thousandths}");
    assert_eq!(used(&found, "completion_tokens"), 0, "nothing was generated");
}

/// The three likeliest tokens that the model tells without a program, three letters each.
async fn likeliest(server: &server::Server, body: &mut Value) -> String {
    body["logprobs"] = json!(true);
    body["top_logprobs"] = json!(3);
    let plain = server.ask("plain", body).await.json();
    let row = plain["choices"][0]["logprobs"]["content"][0]["top_logprobs"].as_array().unwrap();
    let letters = |entry: &Value| {
        // A byte is a token; of more than one there are `ab` and the end.
        let token = match entry["bytes"].as_array().unwrap().as_slice() {
            [byte] => byte.as_u64().unwrap(),
            [_, _] => 256,
            _ => 257,
        };
        [token >> 8, token >> 4, token].map(|part| char::from(b'a' + (part & 15) as u8))
    };
    row.iter().flat_map(letters).collect()
}

#[tokio::test]
async fn what_an_agent_cannot_honour_is_refused_by_name() {
    let mixed = Guest {
        world: "mixed".to_owned(),
        on_request: Some(guests::plain()),
        ..Guest::agent(&guests::plain())
    };
    let ungranted = plain();
    let server = serve(&[
        Tenant::new("agent", plain()),
        Tenant::new("mixed", mixed),
        Tenant::new("ungranted", ungranted).program("grants", json!([])),
    ])
    .await;
    server.ask("agent", &chat("Go.", 1)).await;
    let tool =
        json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let cases = [
        ("n", json!(2), "n"),
        ("logprobs", json!(true), "logprobs"),
        ("response_format", json!({"type": "json_object"}), "response_format"),
        ("tools", json!([tool]), "tools"),
        ("messages", json!([{"role": "tool", "content": "1", "tool_call_id": "a"}]), "messages[0]"),
    ];
    for (field, value, param) in cases {
        let mut body = chat("Go.", 1);
        body[field] = value;
        let answer = server.post("agent", &body).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["param"]),
            (400, &json!(param)),
            "{answer:?}"
        );
    }
    let mut several = completion("a", 1);
    several["prompt"] = json!(["a", "b"]);
    assert_eq!(server.post("agent", &several).await.status, 400);
    for (tenant, words) in [("mixed", "on-request"), ("ungranted", "`inference`")] {
        let answer = server.ask(tenant, &chat("Go.", 1)).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (503, &json!("program_refused"))
        );
        assert!(answer.text.contains(words), "{answer:?}");
    }
}
