//! Vectors over HTTP are the engine's, of length 1; who may have them, and what they count for.

use std::num::NonZeroUsize;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use realm_engine::{
    engine::{Engine, EngineOptions},
    tokenizer::SpecialTokens,
};
use serde_json::{Value, json};

use crate::{
    families::{CONTEXT, cases},
    support::{MODEL, Setup, endless},
    tiny::{chatty, context, serve, serve_tenants},
    tiny_model::{Meta, TinyModel},
};

const PATH: &str = "/v1/embeddings";
/// How closely the server's vectors must be the engine's, which may compute them together with others.
const CLOSE: f32 = 1e-4;

fn family(name: &str) -> TinyModel {
    cases().into_iter().find(|case| case.name == name).expect("a family").model
}

fn setup() -> Setup {
    context(CONTEXT)
}

/// A decoder whose file says that it pools.
fn decoder(pooling: u32) -> TinyModel {
    let mut model = chatty();
    model.set("llama.pooling_type", Meta::U32(pooling));
    model
}

fn ids(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

fn numbers(vector: &Value) -> Vec<f32> {
    let list = vector.as_array().expect("a list").iter();
    list.map(|number| number.as_f64().expect("a number") as f32).collect()
}

fn decoded(vector: &Value) -> Vec<f32> {
    let bytes = STANDARD.decode(vector.as_str().expect("base64")).expect("base64");
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four"))).collect()
}

fn scaled(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    vector.iter().map(|number| number / length).collect()
}

fn assert_close(one: &[f32], other: &[f32], what: &str) {
    assert_eq!(one.len(), other.len(), "{what}");
    let differ = one.iter().zip(other).map(|(one, other)| (one - other).abs());
    let most = differ.fold(0.0_f32, f32::max);
    assert!(most < CLOSE, "{what}: {most}");
}

/// What the engine makes of a text by itself, scaled to length 1.
fn expected(model: &TinyModel, text: &str) -> Vec<f32> {
    let model = model.open().expect("the model");
    let tokens = model.tokenizer().encode_framed(text, SpecialTokens::Parse);
    let options = EngineOptions::new(NonZeroUsize::MIN, CONTEXT, 1);
    let mut engine = Engine::new(model, options).expect("an engine");
    scaled(&engine.embed(&[&tokens]).expect("a vector")[0])
}

#[tokio::test]
async fn vectors_are_the_engines_in_every_form_of_input_and_output() {
    let texts = ["one", "a longer text, of more than one page of the cache: 0123456789", "x"];
    let models = [
        ("bert", family("bert")),
        ("bert-cls", family("bert-cls")),
        ("nomic-bert", family("nomic-bert")),
        ("llama mean", decoder(1)),
        ("llama last", decoder(3)),
    ];
    for (name, model) in models {
        let tiny = serve(&model, setup()).await;
        let expected = texts.map(|text| expected(&model, text));
        let tokens = texts.map(ids);
        for (input, from) in [
            (json!(texts), 0..3),
            (json!(tokens), 0..3),
            (json!(texts[1]), 1..2),
            (json!(tokens[1]), 1..2),
        ] {
            let answer =
                tiny.server.ask(PATH, &json!({"model": MODEL, "input": input, "user": "u"})).await;
            let data = answer["data"].as_array().expect("data");
            assert_eq!(data.len(), from.len());
            for (index, (entry, expected)) in data.iter().zip(&expected[from.clone()]).enumerate() {
                assert_eq!(
                    (&entry["object"], &entry["index"]),
                    (&json!("embedding"), &json!(index))
                );
                assert_close(&numbers(&entry["embedding"]), expected, name);
            }
            let count: usize = tokens[from].iter().map(Vec::len).sum();
            let usage = json!({"prompt_tokens": count, "total_tokens": count});
            assert_eq!(
                (&answer["object"], &answer["model"], &answer["usage"]),
                (&json!("list"), &json!(MODEL), &usage)
            );
        }
        let body = json!({"model": MODEL, "input": texts, "encoding_format": "base64"});
        let answer = tiny.server.ask(PATH, &body).await;
        for (entry, expected) in answer["data"].as_array().expect("data").iter().zip(&expected) {
            assert_close(&decoded(&entry["embedding"]), expected, name);
        }
        assert_eq!(tiny.server.get("/v1/models").await.json()["data"][0]["id"], MODEL);
        tiny.server.stop().await.expect("a clean end");
    }
}

#[tokio::test]
async fn vectors_are_cut_where_the_model_was_trained_for_it() {
    let mut model = family("bert");
    let whole = expected(&model, "one");
    let ask = |dimensions: usize| json!({"model": MODEL, "input": "one", "dimensions": dimensions});
    let tiny = serve(&model, setup()).await;
    let answer = tiny.server.ask(PATH, &ask(whole.len())).await;
    assert_close(&numbers(&answer["data"][0]["embedding"]), &whole, "all of it");
    tiny.refuses(PATH, &ask(16), "dimensions", "unsupported_value").await;
    tiny.server.stop().await.expect("a clean end");
    model.set("general.name", Meta::Text("Mxbai Embed Large v1".to_owned()));
    let tiny = serve(&model, setup()).await;
    let answer = tiny.server.ask(PATH, &ask(16)).await;
    assert_close(&numbers(&answer["data"][0]["embedding"]), &scaled(&whole[..16]), "cut");
    tiny.refuses(PATH, &ask(whole.len() + 1), "dimensions", "unsupported_value").await;
    tiny.refuses(PATH, &ask(0), "dimensions", "invalid_value").await;
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn what_cannot_be_embedded_is_named() {
    let tiny = serve(&family("bert"), setup()).await;
    let with = |more: Value| {
        let mut body = json!({"model": MODEL, "input": "a"});
        let fields = body.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        body
    };
    let cases = [
        (json!({"input": null}), "input", "missing_required_parameter"),
        (json!({"input": 5}), "input", "invalid_type"),
        (json!({"input": ""}), "input", "invalid_value"),
        (json!({"input": []}), "input", "invalid_value"),
        (json!({"input": ["a", ""]}), "input[1]", "invalid_value"),
        (json!({"input": ["a", 5]}), "input[1]", "invalid_type"),
        (json!({"input": [1, 258]}), "input", "invalid_value"),
        (json!({"input": [[1], [258]]}), "input[1]", "invalid_value"),
        (json!({"input": [-1]}), "input[0]", "invalid_value"),
        (json!({"input": vec!["a"; 2049]}), "input", "invalid_value"),
        (json!({"input": "a".repeat(CONTEXT + 1)}), "input", "context_length_exceeded"),
        (json!({"input": "a".repeat(1 << 20)}), "input", "context_length_exceeded"),
        (json!({"encoding_format": "int8"}), "encoding_format", "unsupported_value"),
        (json!({"dimensions": "all"}), "dimensions", "invalid_type"),
        (json!({"mood": 1}), "mood", "unknown_parameter"),
    ];
    for (more, param, code) in cases {
        tiny.refuses(PATH, &with(more), param, code).await;
    }
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]});
    tiny.refuses("/v1/chat/completions", &chat, "model", "model_does_not_generate").await;
    let framed = tiny.server.ask("/tokenize", &json!({"prompt": "Hi"})).await;
    assert_eq!(framed["tokens"], json!(ids("Hi")), "this vocabulary frames nothing");
    tiny.server.stop().await.expect("a clean end");
    let tiny = serve(&chatty(), setup()).await;
    tiny.refuses(PATH, &with(json!({})), "model", "model_does_not_embed").await;
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn a_model_embeds_while_all_its_places_are_taken() {
    let setup =
        setup().config("/engine/parallel", json!(1)).config("/engine/batchTokens", json!(64));
    let setup = setup.config("/engine/contextLength", json!(2048));
    let model = decoder(3);
    let tiny = serve(&model, setup).await;
    let mut long = endless(1500);
    long["logit_bias"] = json!({"257": -100});
    let mut answer = tiny.server.stream("/v1/chat/completions", &long).await;
    answer.next().await.expect("an event");
    let body = json!({"model": MODEL, "input": ["one", "two", "three"]});
    let vectors = tiny.server.ask(PATH, &body).await;
    assert_close(&numbers(&vectors["data"][0]["embedding"]), &expected(&model, "one"), "beside");
    let long = json!({"model": MODEL, "input": "a".repeat(65)});
    tiny.refuses(PATH, &long, "input", "context_length_exceeded").await;
    assert_eq!(tiny.server.metric("realm_preemptions_total", &[]).await, 0.0);
    assert_eq!(tiny.server.metric("realm_places_yielded_total", &[]).await, 0.0);
    answer.next().await.expect("the stream goes on");
    drop(answer);
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn texts_count_for_their_tenant() {
    let tenants = [
        ("few", json!({"requestsPerMinute": 1})),
        ("short", json!({"inputTokensPerMinute": 10, "maxContextTokens": 8})),
    ];
    let tiny = serve_tenants(&family("bert"), setup(), &tenants).await;
    let body = |input: Value| json!({"model": MODEL, "input": input});
    assert_eq!(tiny.server.post(PATH, &body(json!("a"))).await.status, 401);
    let first = tiny.ask_as("few", PATH, &body(json!("abc"))).await;
    assert_eq!((first.status, first.header("x-ratelimit-remaining-requests")), (200, "0"));
    let second = tiny.ask_as("few", PATH, &body(json!("abc"))).await;
    assert_eq!(
        (second.status, &second.json()["error"]["code"]),
        (429, &json!("requests_per_minute_exceeded"))
    );
    let long = tiny.ask_as("short", PATH, &body(json!("123456789"))).await;
    assert_eq!(
        (long.status, &long.json()["error"]["code"]),
        (400, &json!("context_length_exceeded"))
    );
    assert_eq!(tiny.ask_as("short", PATH, &body(json!("12345678"))).await.status, 200);
    let more = tiny.ask_as("short", PATH, &body(json!("12345678"))).await;
    assert_eq!(
        (more.status, &more.json()["error"]["code"]),
        (429, &json!("input_tokens_per_minute_exceeded"))
    );
    // "ab" is one token of this vocabulary.
    for (name, tokens) in [("few", 2.0), ("short", 8.0)] {
        let label = format!("tenant=\"{name}\"");
        for metric in ["realm_prompt_tokens_total", "realm_computed_tokens_total"] {
            assert_eq!(tiny.server.metric(metric, &[&label]).await, tokens, "{metric} of {name}");
        }
    }
    let counted = ["route=\"embeddings\"", "status=\"200\"", "tenant=\"few\""];
    assert_eq!(tiny.server.metric("realm_requests_total", &counted).await, 1.0);
    assert_eq!(tiny.server.metric("realm_requests_running", &[]).await, 0.0);
    tiny.server.stop().await.expect("a clean end");
}
