//! What a model says, in every form in which it can be asked for.

use serde_json::{Value, json};

use crate::support::{MODEL, Setup, TestServer, chunks};

fn paris() -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": "Name the capital of France."}],
           "temperature": 0, "max_tokens": 40})
}

fn with(mut body: Value, more: Value) -> Value {
    let (Some(body_map), Value::Object(more)) = (body.as_object_mut(), more) else {
        panic!("objects")
    };
    body_map.extend(more);
    body
}

fn content(answer: &Value, choice: usize) -> &str {
    answer["choices"][choice]["message"]["content"].as_str().expect("content")
}

fn streamed(chunks: &[Value], choice: usize) -> String {
    let choices = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().expect("choices"));
    let deltas = choices.filter(|entry| entry["index"] == choice);
    deltas.map(|entry| entry["delta"]["content"].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_chat_says_paris_whole_and_streamed() {
    let server = Setup::default().serve().await;
    let whole = server.ask("/v1/chat/completions", &paris()).await;
    assert!(content(&whole, 0).contains("Paris"), "{whole}");
    assert_eq!((&whole["object"], &whole["model"]), (&json!("chat.completion"), &json!(MODEL)));
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    assert_eq!(whole["choices"][0]["message"]["role"], "assistant");
    let id = whole["id"].as_str().expect("an id");
    assert!(id.starts_with("chatcmpl-"), "{id}");

    let asked = with(paris(), json!({"stream": true, "stream_options": {"include_usage": true}}));
    let events = chunks(server.stream("/v1/chat/completions", &asked).await.rest().await);
    assert_eq!(streamed(&events, 0), content(&whole, 0));
    check_order(&events);
    let mut usage = events.last().expect("usage")["usage"].clone();
    let cached = usage["prompt_tokens_details"]["cached_tokens"].take().as_u64();
    let prompt = whole["usage"]["prompt_tokens"].as_u64().expect("a count");
    assert_eq!(cached, Some(prompt - 1), "the same prompt again");
    usage["prompt_tokens_details"]["cached_tokens"] = json!(0);
    assert_eq!(usage, whole["usage"]);
    check_usage(&server, &whole).await;
    server.stop().await.expect("a clean end");
}

/// Role first, then content, then the reason, then usage with no choices; `usage` is null until then.
fn check_order(events: &[Value]) {
    let [first, middle @ .., finish, usage] = events else { panic!("{events:?}") };
    assert_eq!(first["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    for chunk in middle {
        assert!(
            !chunk["choices"][0]["delta"]["content"].as_str().expect("text").is_empty(),
            "{chunk}"
        );
        assert_eq!(chunk["choices"][0]["finish_reason"], Value::Null);
    }
    assert_eq!(finish["choices"][0]["delta"], json!({}));
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(usage["choices"], json!([]));
    for chunk in &events[..events.len() - 1] {
        assert_eq!(chunk.get("usage"), Some(&Value::Null), "{chunk}");
        assert_eq!(
            (&chunk["id"], &chunk["object"]),
            (&first["id"], &json!("chat.completion.chunk"))
        );
    }
}

/// The counts agree with the tokenizer, with each other and with the metrics.
async fn check_usage(server: &TestServer, whole: &Value) {
    let count = |name: &str| whole["usage"][name].as_u64().expect("a count");
    let options = realm_engine::engine::ModelOptions::default();
    let model = realm_engine::engine::Model::open(&crate::support::model_path(), &options)
        .expect("the model");
    let message = realm_engine::chat_template::ChatMessage {
        role: "user".into(),
        content: "Name the capital of France.".into(),
    };
    let prompt =
        model.chat_template().expect("a template").render(&[message], true).expect("a prompt");
    let special = realm_engine::tokenizer::SpecialTokens::Parse;
    assert_eq!(count("prompt_tokens"), model.tokenizer().encode(&prompt, special).len() as u64);
    let answer = model.tokenizer().encode(content(whole, 0), special).len() as u64;
    assert_eq!(count("completion_tokens"), answer + 1, "the text and the token that ends it");
    assert_eq!(count("total_tokens"), count("prompt_tokens") + count("completion_tokens"));
    let twice = 2.0 * count("prompt_tokens") as f64;
    assert_eq!(server.metric("realm_prompt_tokens_total", &["tenant=\"anonymous\""]).await, twice);
    let twice = 2.0 * count("completion_tokens") as f64;
    assert_eq!(server.metric("realm_output_tokens_total", &["tenant=\"anonymous\""]).await, twice);
    let labels = [
        "tenant=\"anonymous\"",
        "route=\"chat_completions\"",
        "status=\"200\"",
        "model=\"smollm2\"",
    ];
    assert_eq!(server.metric("realm_requests_total", &labels).await, 2.0);
    assert_eq!(server.metric("realm_time_to_first_token_seconds_count", &[]).await, 2.0);
}

#[tokio::test]
async fn answers_end_where_they_are_told_to() {
    let server = Setup::default().serve().await;
    let whole = server.ask("/v1/chat/completions", &paris()).await;
    let (before, after) = content(&whole, 0).split_once("Paris").expect("Paris");
    let cases = [
        (json!({"stop": "Paris"}), before.to_owned(), "stop"),
        (json!({"stop": ["never said", "Paris"]}), before.to_owned(), "stop"),
        (json!({"stop": format!("Paris{}", &after[..1])}), before.to_owned(), "stop"),
        (json!({"stop": null}), content(&whole, 0).to_owned(), "stop"),
    ];
    for (more, expected, reason) in cases {
        let answer = server.ask("/v1/chat/completions", &with(paris(), more.clone())).await;
        assert_eq!(
            (content(&answer, 0), &answer["choices"][0]["finish_reason"]),
            (expected.as_str(), &json!(reason)),
            "{more}"
        );
        let asked = with(with(paris(), more), json!({"stream": true}));
        let events = chunks(server.stream("/v1/chat/completions", &asked).await.rest().await);
        assert_eq!(streamed(&events, 0), expected);
    }
    for name in ["max_tokens", "max_completion_tokens"] {
        let mut body = with(paris(), json!({name: 3}));
        if name != "max_tokens" {
            body["max_tokens"] = Value::Null;
        }
        let answer = server.ask("/v1/chat/completions", &body).await;
        assert_eq!(answer["usage"]["completion_tokens"], 3);
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert!(content(&whole, 0).starts_with(content(&answer, 0)));
    }
}

#[tokio::test]
async fn the_end_of_the_context_ends_the_answer() {
    let server = Setup::default().config("/engine/contextLength", json!(64)).serve().await;
    let body = json!({"model": MODEL, "prompt": "one two three", "logit_bias": {"0": -100, "2": -100}, "max_tokens": 500});
    let answer = server.ask("/v1/completions", &body).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["total_tokens"], 64);
}

#[tokio::test]
async fn several_choices_and_prompts_come_with_their_index() {
    let server = Setup::default().serve().await;
    let body = with(paris(), json!({"n": 3, "temperature": 1.5, "seed": 11}));
    let answer = server.ask("/v1/chat/completions", &body).await;
    let texts: Vec<&str> = (0..3).map(|choice| content(&answer, choice)).collect();
    assert!(
        texts[0] != texts[1] || texts[1] != texts[2],
        "choices have seeds of their own: {texts:?}"
    );
    assert_eq!(
        server.ask("/v1/chat/completions", &body).await["choices"],
        answer["choices"],
        "the seed repeats them"
    );
    let events = chunks(
        server
            .stream("/v1/chat/completions", &with(body, json!({"stream": true})))
            .await
            .rest()
            .await,
    );
    for (choice, text) in texts.iter().enumerate() {
        assert_eq!(streamed(&events, choice), *text);
    }

    let body = json!({"model": "small", "prompt": ["The capital of France is", "The capital of Italy is"],
                      "temperature": 0, "max_tokens": 4});
    let answer = server.ask("/v1/completions", &body).await;
    assert_eq!((&answer["object"], &answer["model"]), (&json!("text_completion"), &json!(MODEL)));
    for (index, city) in ["Paris", "Rome"].iter().enumerate() {
        let choice = &answer["choices"][index];
        assert!(choice["text"].as_str().expect("text").contains(city), "{answer}");
        assert_eq!(choice["index"], index);
    }
    let single = server
        .ask("/v1/completions", &with(body.clone(), json!({"prompt": "The capital of Italy is"})))
        .await;
    assert_eq!(
        single["choices"][0]["text"], answer["choices"][1]["text"],
        "company in the batch changes nothing"
    );
}

#[tokio::test]
async fn token_ids_are_a_prompt() {
    let server = Setup::default().serve().await;
    let options = realm_engine::engine::ModelOptions::default();
    let model = realm_engine::engine::Model::open(&crate::support::model_path(), &options)
        .expect("the model");
    let tokens = model
        .tokenizer()
        .encode("The capital of France is", realm_engine::tokenizer::SpecialTokens::AsText);
    let ask = async |prompt: Value| {
        let body = json!({"model": MODEL, "prompt": prompt, "temperature": 0, "max_tokens": 6});
        server.ask("/v1/completions", &body).await["choices"].clone()
    };
    let text = ask(json!("The capital of France is")).await;
    assert_eq!(ask(json!(tokens)).await, text);
    assert_eq!(ask(json!([tokens])).await, text);
}

#[tokio::test]
async fn probabilities_have_the_shape_of_each_endpoint() {
    let server = Setup::default().serve().await;
    let chat = with(paris(), json!({"logprobs": true, "top_logprobs": 2}));
    let answer = server.ask("/v1/chat/completions", &chat).await;
    let entries = answer["choices"][0]["logprobs"]["content"].as_array().expect("entries").clone();
    let text: Vec<u8> = entries
        .iter()
        .flat_map(|entry| entry["bytes"].as_array().expect("bytes"))
        .map(byte)
        .collect();
    assert_eq!(String::from_utf8(text).expect("text"), content(&answer, 0));
    for entry in &entries {
        let top = entry["top_logprobs"].as_array().expect("top");
        assert_eq!(top.len(), 2);
        assert_eq!(top[0]["token"], entry["token"], "temperature 0 takes the most likely token");
        assert_eq!(top[0]["logprob"], entry["logprob"]);
        assert!(
            number(&top[0]["logprob"]) <= 0.0
                && number(&top[1]["logprob"]) <= number(&top[0]["logprob"])
        );
    }
    let asked = with(chat, json!({"stream": true}));
    let events = chunks(server.stream("/v1/chat/completions", &asked).await.rest().await);
    let pieces =
        events.iter().filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array());
    assert_eq!(pieces.flatten().cloned().collect::<Vec<_>>(), entries);

    let body = json!({"model": MODEL, "prompt": "The capital of France is", "temperature": 0, "max_tokens": 5, "logprobs": 3});
    let answer = server.ask("/v1/completions", &body).await;
    let lists = &answer["choices"][0]["logprobs"];
    let text = answer["choices"][0]["text"].as_str().expect("text");
    let tokens: Vec<&str> = lists["tokens"]
        .as_array()
        .expect("tokens")
        .iter()
        .map(|token| token.as_str().expect("text"))
        .collect();
    assert_eq!(tokens.concat(), text);
    for (index, token) in tokens.iter().enumerate() {
        let offset = lists["text_offset"][index].as_u64().expect("an offset") as usize;
        assert!(text[offset..].starts_with(token));
        assert_eq!(lists["top_logprobs"][index][token], lists["token_logprobs"][index]);
        assert!(lists["top_logprobs"][index].as_object().expect("top").len() >= 3);
    }
}

fn byte(value: &Value) -> u8 {
    u8::try_from(value.as_u64().expect("a byte")).expect("a byte")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[tokio::test]
async fn sampling_fields_reach_the_sampler() {
    let server = Setup::default().serve().await;
    let plain = server.ask("/v1/chat/completions", &paris()).await;
    let greedy = [
        json!({"temperature": 2, "top_k": 1}),
        json!({"temperature": 2, "min_p": 1}),
        json!({"temperature": 1, "top_p": 0.0001}),
    ];
    for more in greedy {
        let answer = server.ask("/v1/chat/completions", &with(paris(), more.clone())).await;
        assert_eq!(content(&answer, 0), content(&plain, 0), "{more}");
    }
    let changed = [
        json!({"repetition_penalty": 5, "max_tokens": 40, "logit_bias": {"2": -100}}),
        json!({"presence_penalty": 2, "frequency_penalty": 2, "max_tokens": 60, "logit_bias": {"2": -100}}),
    ];
    for more in changed {
        let mut base = more.clone();
        for name in ["repetition_penalty", "presence_penalty", "frequency_penalty"] {
            base[name] = Value::Null;
        }
        let with_penalty = server.ask("/v1/chat/completions", &with(paris(), more.clone())).await;
        let without = server.ask("/v1/chat/completions", &with(paris(), base)).await;
        assert_ne!(content(&with_penalty, 0), content(&without, 0), "{more}");
    }
}
