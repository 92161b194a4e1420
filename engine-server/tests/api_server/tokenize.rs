//! Tokens of texts and texts of tokens.

use serde_json::{Value, json};

use crate::{
    support::MODEL,
    tiny::{chatty, context, serve, serve_tenants},
    tiny_model::Meta,
};

const TOKENIZE: &str = "/tokenize";
const DETOKENIZE: &str = "/detokenize";

fn ids(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

#[tokio::test]
async fn texts_become_tokens_and_tokens_texts() {
    let mut model = chatty();
    model.set("tokenizer.ggml.bos_token_id", Meta::U32(257));
    model.set("tokenizer.ggml.add_bos_token", Meta::Bool(true));
    let tiny = serve(&model, context(512)).await;
    let with_bos = |text: &str| [vec![257], ids(text)].concat();
    let conversation = json!([{"role": "user", "content": "Hi"}]);
    let cases: Vec<(Value, Vec<u32>)> = vec![
        (json!({"prompt": "Hé."}), with_bos("Hé.")),
        (json!({"prompt": "Hi", "add_special_tokens": false}), ids("Hi")),
        (json!({"prompt": "ab"}), vec![257, 256]),
        (json!({"prompt": "a<|end|>"}), vec![257, 97, 257]),
        (json!({"prompt": "", "add_special_tokens": false}), vec![]),
        (json!({"messages": conversation}), ids("user:Hi|A:")),
        (json!({"messages": conversation, "add_generation_prompt": false}), ids("user:Hi|")),
        (json!({"messages": conversation, "add_special_tokens": true}), with_bos("user:Hi|A:")),
    ];
    for (body, tokens) in cases {
        let mut expected = json!({"count": tokens.len(), "max_model_len": 512, "tokens": tokens});
        assert_eq!(tiny.server.ask(TOKENIZE, &body).await, expected, "{body}");
        let mut named = body.clone();
        named["model"] = json!(MODEL);
        named["return_token_strs"] = json!(true);
        let answer = tiny.server.ask(TOKENIZE, &named).await;
        let texts = answer["token_strs"].as_array().expect("texts");
        assert_eq!(texts.len(), tokens.len(), "{answer}");
        expected["token_strs"] = answer["token_strs"].clone();
        assert_eq!(answer, expected, "{body}");
    }
    let strings = json!({"prompt": "é ab<|end|>", "return_token_strs": true});
    assert_eq!(
        tiny.server.ask(TOKENIZE, &strings).await["token_strs"],
        json!(["<|end|>", "\u{fffd}", "\u{fffd}", " ", "ab", "<|end|>"])
    );
    let body = json!({"model": MODEL, "tokens": [257, 195, 169, 256]});
    assert_eq!(tiny.server.ask(DETOKENIZE, &body).await, json!({"prompt": "<|end|>éab"}));
    let info = tiny.server.get("/tokenizer_info").await.json();
    assert_eq!((&info["bos_token"], &info["eos_token"]), (&json!("<|end|>"), &json!("<|end|>")));
    assert_eq!(info["pad_token"], Value::Null);
    assert!(info["chat_template"].as_str().expect("text").contains("add_generation_prompt"));
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn the_prompt_of_a_completion_has_as_many_tokens() {
    let tiny = serve(&chatty(), context(512)).await;
    for (path, field) in [
        ("/v1/completions", json!({"prompt": "Hello ab."})),
        ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "Hello ab."}]})),
    ] {
        let count = tiny.server.ask(TOKENIZE, &field).await["count"].clone();
        let mut body = field;
        body["model"] = json!(MODEL);
        body["max_tokens"] = json!(1);
        let answer = tiny.server.ask(path, &body).await;
        assert_eq!(answer["usage"]["prompt_tokens"], count, "{answer}");
    }
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn what_cannot_be_tokenized_is_named() {
    let mut model = chatty();
    let tiny = serve(&model, context(512)).await;
    let talk = json!([{"role": "user", "content": "Hi"}]);
    let cases = [
        (TOKENIZE, json!({}), "prompt", "missing_required_parameter"),
        (TOKENIZE, json!({"prompt": 5}), "prompt", "invalid_type"),
        (TOKENIZE, json!({"prompt": "a", "mood": 1}), "mood", "unknown_parameter"),
        (TOKENIZE, json!({"prompt": "a", "messages": talk}), "messages", "invalid_value"),
        (
            TOKENIZE,
            json!({"prompt": "a", "add_generation_prompt": true}),
            "add_generation_prompt",
            "invalid_value",
        ),
        (TOKENIZE, json!({"prompt": "a".repeat((1 << 20) + 1)}), "prompt", "invalid_value"),
        (TOKENIZE, json!({"messages": talk, "tools": [1]}), "tools", "unsupported_parameter"),
        (
            TOKENIZE,
            json!({"messages": [{"role": "user"}]}),
            "messages[0].content",
            "missing_required_parameter",
        ),
        (
            TOKENIZE,
            json!({"prompt": "a", "add_special_tokens": 1}),
            "add_special_tokens",
            "invalid_type",
        ),
        (DETOKENIZE, json!({}), "tokens", "missing_required_parameter"),
        (DETOKENIZE, json!({"tokens": "a"}), "tokens", "invalid_type"),
        (DETOKENIZE, json!({"tokens": [1, -1]}), "tokens[1]", "invalid_value"),
        (DETOKENIZE, json!({"tokens": [1, "a"]}), "tokens[1]", "invalid_type"),
        (DETOKENIZE, json!({"tokens": [1, 258]}), "tokens", "invalid_value"),
        (DETOKENIZE, json!({"tokens": vec![1; (1 << 18) + 1]}), "tokens", "invalid_value"),
        (DETOKENIZE, json!({"tokens": [1], "skip": 1}), "skip", "unknown_parameter"),
    ];
    for (path, body, param, code) in cases {
        tiny.refuses(path, &body, param, code).await;
    }
    for path in [TOKENIZE, DETOKENIZE] {
        let body = json!({"model": "other", "prompt": "a", "tokens": [1]});
        let mut body = body.as_object().expect("an object").clone();
        body.remove(if path == TOKENIZE { "tokens" } else { "prompt" });
        let answer = tiny.server.post(path, &body.into()).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (404, &json!("model")));
    }
    tiny.server.stop().await.expect("a clean end");
    model.remove("tokenizer.chat_template");
    let tiny = serve(&model, context(512)).await;
    let answer = tiny.server.post(TOKENIZE, &json!({"messages": talk})).await;
    assert_eq!(answer.json()["error"]["code"], "no_chat_template", "{answer:?}");
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn keys_and_limits_hold_for_tokens_too() {
    let limits = json!({"requestsPerMinute": 2, "maxContextTokens": 64});
    let tiny = serve_tenants(&chatty(), context(512), &[("a", limits)]).await;
    let body = json!({"prompt": "Hi"});
    assert_eq!(tiny.server.post(TOKENIZE, &body).await.status, 401);
    let first = tiny.ask_as("a", TOKENIZE, &body).await;
    assert_eq!((first.status, &first.json()["max_model_len"]), (200, &json!(64)), "{first:?}");
    assert_eq!(first.header("x-ratelimit-remaining-requests"), "1");
    assert_eq!(tiny.ask_as("a", DETOKENIZE, &json!({"tokens": [72]})).await.status, 200);
    let third = tiny.ask_as("a", TOKENIZE, &body).await;
    assert_eq!(third.status, 429, "{third:?}");
    let labels = ["tenant=\"a\"", "route=\"tokenize\"", "status=\"200\""];
    assert_eq!(tiny.server.metric("realm_requests_total", &labels).await, 1.0);
    tiny.server.stop().await.expect("a clean end");
}
