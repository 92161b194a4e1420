//! Many requests at once: they share steps, wait their turn, and leave when their client leaves.

use futures::future::join_all;
use realm_engine_server::config::Limits;
use serde_json::json;

use crate::support::{MODEL, Setup, chunks, endless};

#[tokio::test]
async fn requests_share_the_steps() {
    let server = Setup::default().config("/engine/parallel", json!(8)).serve().await;
    let ask = |city: &'static str| {
        let body = json!({"model": MODEL, "prompt": format!("The capital of {city} is"), "temperature": 0, "max_tokens": 24,
                          "logit_bias": {"0": -100, "2": -100}});
        let server = &server;
        async move { server.ask("/v1/completions", &body).await["choices"][0]["text"].clone() }
    };
    let cities = ["France", "Italy", "Spain", "Japan", "Egypt", "Peru", "Kenya", "India"];
    let together = join_all(cities.map(ask)).await;
    // An answer is there before its last step is counted.
    let nothing_runs = async || server.metric("realm_requests_running", &[]).await == 0.0;
    server.until("the last step is counted", nothing_runs).await;
    let steps = server.metric("realm_batch_tokens_count", &["phase=\"decode\""]).await;
    let tokens = server.metric("realm_batch_tokens_sum", &["phase=\"decode\""]).await;
    let drafted = server.metric("realm_speculation_drafted_tokens_total", &[]).await;
    let accepted = server.metric("realm_speculation_accepted_tokens_total", &[]).await;
    let wrong = drafted - accepted;
    assert_eq!(tokens - wrong, 8.0 * 23.0, "each answer's first token comes from its prefill");
    assert!(tokens / steps > 1.5, "{tokens} tokens in {steps} steps");
    for (city, text) in cities.into_iter().zip(together) {
        assert_eq!(ask(city).await, text, "{city}: the same alone");
    }
    server
        .until("nothing is held", async || {
            server.metric("realm_kv_cache_usage_ratio", &[]).await == 0.0 && nothing_runs().await
        })
        .await;
    assert_eq!(server.metric("realm_requests_running", &[]).await, 0.0);
    assert_eq!(server.metric("realm_kv_cache_usage_ratio", &[]).await, 0.0);
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn a_client_that_goes_frees_its_place() {
    let server = Setup::default().config("/engine/parallel", json!(1)).serve().await;
    let mut events = server.stream("/v1/chat/completions", &endless(900)).await;
    for _ in 0..4 {
        events.next().await.expect("an event");
    }
    assert_eq!(server.metric("realm_requests_running", &["tenant=\"anonymous\""]).await, 1.0);
    drop(events);
    server
        .until("the place is free", async || {
            server.metric("realm_requests_running", &[]).await == 0.0
        })
        .await;
    assert_eq!(
        server.metric("realm_client_disconnects_total", &["tenant=\"anonymous\""]).await,
        1.0
    );
    assert_eq!(server.metric("realm_requests_total", &["status=\"499\""]).await, 1.0);
    assert!(
        server.metric("realm_output_tokens_total", &[]).await < 800.0,
        "it did not run to its end"
    );

    // The same for a client that waits for a whole answer, and for one that waits in the queue.
    let mut whole = endless(900);
    whole["stream"] = json!(false);
    let asked = [
        server.request("/v1/chat/completions", &whole),
        server.request("/v1/chat/completions", &whole),
    ];
    let asked = tokio::spawn(join_all(asked.map(reqwest::RequestBuilder::send)));
    server.until("one waits", async || server.metric("realm_queue_depth", &[]).await == 1.0).await;
    asked.abort();
    server
        .until("nothing is left", async || {
            server.metric("realm_requests_running", &[]).await
                + server.metric("realm_queue_depth", &[]).await
                == 0.0
        })
        .await;
    assert_eq!(server.metric("realm_client_disconnects_total", &[]).await, 3.0);
    let body = json!({"model": MODEL, "prompt": "Hi", "max_tokens": 1});
    server.ask("/v1/completions", &body).await;
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn a_full_queue_is_said_and_empties() {
    let limits = Limits { queue_depth: 2, queue_depth_per_tenant: 2, ..Limits::default() };
    let server =
        Setup { limits, ..Setup::default() }.config("/engine/parallel", json!(1)).serve().await;
    let running = server.stream("/v1/chat/completions", &endless(150)).await;
    server
        .until("one runs", async || server.metric("realm_requests_running", &[]).await == 1.0)
        .await;
    let body = json!({"model": MODEL, "prompt": "Hi", "max_tokens": 1, "n": 2});
    let waiting = tokio::spawn(server.request("/v1/completions", &body).send());
    server.until("two wait", async || server.metric("realm_queue_depth", &[]).await == 2.0).await;
    let refused = server.post("/v1/completions", &body).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("overloaded")));
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    assert!(refused.header("retry-after").parse::<u64>().expect("seconds") > 0);
    assert_eq!(server.metric("realm_rejections_total", &["reason=\"queue\""]).await, 1.0);
    assert_eq!(
        chunks(running.rest().await).last().expect("an end")["choices"][0]["finish_reason"],
        "length"
    );
    assert_eq!(waiting.await.expect("no panic").expect("an answer").status(), 200);
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn connections_survive_many_streams() {
    let server = Setup::default().serve().await;
    let body =
        json!({"model": MODEL, "prompt": "Hi", "max_tokens": 2, "temperature": 0, "stream": true});
    for _ in 0..40 {
        assert!(!chunks(server.stream("/v1/completions", &body).await.rest().await).is_empty());
    }
    assert_eq!(
        server.metric("realm_requests_total", &["route=\"completions\"", "status=\"200\""]).await,
        40.0
    );
    server.stop().await.expect("a clean end");
}
