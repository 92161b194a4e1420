//! Prompts that come back with their probabilities, in the form in which evaluation harnesses read them, and the best of
//! several answers.

use std::num::NonZeroUsize;

use realm_engine::{
    engine::{Engine, EngineOptions, LogitsWanted, StepItem, TokenId},
    sampler::log_probability,
};
use serde_json::{Value, json};

use crate::{
    support::{MODEL, chunks},
    tiny::{chatty, context, serve},
    tiny_model::{EMBEDDING, Meta, Random, TinyModel},
};

const PATH: &str = "/v1/completions";
const CONTEXT: usize = 512;

fn ids(text: &str) -> Vec<TokenId> {
    text.bytes().map(u32::from).collect()
}

fn numbers(list: &Value) -> Vec<Option<f64>> {
    list.as_array().expect("a list").iter().map(Value::as_f64).collect()
}

/// The probability of each token but the first, from an engine of its own.
fn offline(model: &TinyModel, tokens: &[TokenId]) -> Vec<f64> {
    let model = model.open().expect("the model");
    let vocabulary = model.info().vocab_size;
    let options = EngineOptions::new(NonZeroUsize::MIN, CONTEXT, 1);
    let mut engine = Engine::new(model, options).expect("an engine");
    let sequence = engine.new_sequence().expect("a sequence");
    let logits = engine.step(&[StepItem { sequence, tokens, logits: LogitsWanted::All }]);
    let logits = logits.expect("a step");
    let rows = logits.item(0).chunks_exact(vocabulary);
    let of =
        |(row, &token): (&[f32], &TokenId)| f64::from(log_probability(row, token).expect("one"));
    rows.zip(&tokens[1..]).map(of).collect()
}

fn asked(prompt: Value, more: Value) -> Value {
    let mut body = json!({"model": MODEL, "temperature": 0, "max_tokens": 4, "logprobs": 1, "echo": true, "seed": 1});
    let (Value::Object(fields), Value::Object(more)) = (&mut body, more) else { panic!("objects") };
    fields.insert("prompt".to_owned(), prompt);
    fields.extend(more);
    body
}

/// Lists of one length, whose entries agree with one another, with the text, and with the engine.
fn check(choice: &Value, model: &TinyModel, prompt: &[TokenId], completion: usize) {
    let lists = &choice["logprobs"];
    let (text, logprobs) =
        (choice["text"].as_str().expect("text"), numbers(&lists["token_logprobs"]));
    assert_eq!(logprobs.len(), prompt.len() + completion, "{choice}");
    for name in ["tokens", "text_offset", "top_logprobs"] {
        assert_eq!(lists[name].as_array().expect("a list").len(), logprobs.len(), "{name}");
    }
    assert_eq!((logprobs[0], &lists["top_logprobs"][0]), (None, &Value::Null));
    for (place, (&known, expected)) in logprobs[1..].iter().zip(offline(model, prompt)).enumerate()
    {
        assert!(
            (known.expect("a number") - expected).abs() < 1e-3,
            "{place}: {known:?} {expected}"
        );
    }
    for (place, logprob) in logprobs.iter().enumerate().skip(1) {
        let top = lists["top_logprobs"][place].as_object().expect("top");
        let values = || top.values().map(|value| value.as_f64().expect("a number"));
        assert!(values().any(|value| Some(value) == *logprob), "the chosen one is among them");
    }
    let offsets = numbers(&lists["text_offset"]);
    for (place, offset) in offsets.iter().enumerate() {
        let token = lists["tokens"][place].as_str().expect("text");
        let rest: String = text.chars().skip(offset.expect("a number") as usize).collect();
        // A character that is not whole is text only when the next token has shown that it never will be.
        let before =
            place.checked_sub(1).map_or("", |place| lists["tokens"][place].as_str().expect("text"));
        let plain =
            !token.contains('\u{fffd}') && !before.contains('\u{fffd}') && token != "<|end|>";
        assert!(!plain || rest.starts_with(token), "{place}: {token:?} in {text:?}");
    }
}

#[tokio::test]
async fn a_prompt_comes_back_with_its_probabilities() {
    let model = chatty();
    let tiny = serve(&model, context(CONTEXT)).await;
    let text = "To be, or not to be: thät is the question. ".repeat(4);
    let tokens = ids(&text);
    let never = json!({"logit_bias": {"257": -100}});
    // Twice, so that the second finds its prompt in the cache.
    for _ in 0..2 {
        for prompt in [json!(text), json!(tokens)] {
            let answer = tiny.server.ask(PATH, &asked(prompt, never.clone())).await;
            let choice = &answer["choices"][0];
            assert!(choice["text"].as_str().expect("text").starts_with(&text), "{choice}");
            check(choice, &model, &tokens, 4);
            assert_eq!(answer["usage"]["completion_tokens"], 4);
        }
    }
    for (more, completion) in
        [(json!({"max_tokens": 0}), 0), (json!({"logit_bias": {"257": 100}}), 1)]
    {
        let answer = tiny.server.ask(PATH, &asked(json!(text), more)).await;
        check(&answer["choices"][0], &model, &tokens, completion);
        assert_eq!(answer["choices"][0]["text"], json!(text));
        let reason = if completion == 0 { "length" } else { "stop" };
        assert_eq!(answer["choices"][0]["finish_reason"], reason);
        assert_eq!(answer["usage"]["completion_tokens"], completion);
        assert_eq!(answer["usage"]["prompt_tokens"], tokens.len());
    }
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn several_prompts_and_choices_each_have_their_own() {
    let model = chatty();
    let tiny = serve(&model, context(CONTEXT)).await;
    let prompts = ["First prompt", "The second one."];
    let more = json!({"n": 2, "temperature": 1, "logit_bias": {"257": -100}});
    let answer = tiny.server.ask(PATH, &asked(json!(prompts), more)).await;
    let choices = answer["choices"].as_array().expect("choices");
    assert_eq!(choices.len(), 4);
    for (index, choice) in choices.iter().enumerate() {
        assert_eq!(choice["index"], index);
        let prompt = prompts[index / 2];
        assert!(choice["text"].as_str().expect("text").starts_with(prompt));
        check(choice, &model, &ids(prompt), 4);
    }
    let plain = tiny.server.ask(PATH, &asked(json!("Hé"), json!({"logprobs": null}))).await;
    assert_eq!(plain["choices"][0]["logprobs"], Value::Null);
    assert!(plain["choices"][0]["text"].as_str().expect("text").starts_with("Hé"));
    let nothing = json!({"logprobs": null, "max_tokens": 0});
    let answer = tiny.server.ask(PATH, &asked(json!("Hé"), nothing)).await;
    assert_eq!(answer["choices"][0]["text"], "Hé");
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn a_stream_begins_with_its_prompt() {
    let model = chatty();
    let tiny = serve(&model, context(CONTEXT)).await;
    for (logprobs, bias) in [(json!(2), -100), (json!(null), -100), (json!(2), 100)] {
        let more = json!({"logprobs": logprobs, "logit_bias": {"257": bias}});
        let whole = tiny.server.ask(PATH, &asked(json!("A prompt"), more.clone())).await;
        let mut body = asked(json!("A prompt"), more);
        body["stream"] = json!(true);
        let events = chunks(tiny.server.stream(PATH, &body).await.rest().await);
        let choices: Vec<&Value> = events.iter().map(|event| &event["choices"][0]).collect();
        assert_eq!(choices[0]["text"], "A prompt");
        let text: String =
            choices.iter().map(|choice| choice["text"].as_str().expect("text")).collect();
        assert_eq!(text, whole["choices"][0]["text"].as_str().expect("text"));
        for list in ["tokens", "token_logprobs", "text_offset", "top_logprobs"] {
            let pieces = choices.iter().filter_map(|choice| choice["logprobs"][list].as_array());
            let pieces: Vec<Value> = pieces.flatten().cloned().collect();
            let expected = whole["choices"][0]["logprobs"][list].as_array().cloned();
            assert_eq!(pieces, expected.unwrap_or_default(), "{list}");
        }
    }
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn the_best_of_several_answers_are_returned() {
    let tiny = serve(&chatty(), context(CONTEXT)).await;
    let body = |more: Value| asked(json!(["One", "Two"]), more);
    let free = json!({"temperature": 1, "echo": false, "max_tokens": 6, "seed": 4});
    let with = |more: Value| {
        let mut fields = free.clone();
        fields.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        body(fields)
    };
    let all = tiny.server.ask(PATH, &with(json!({"n": 6}))).await;
    let best = tiny.server.ask(PATH, &with(json!({"n": 2, "best_of": 6}))).await;
    let silent =
        tiny.server.ask(PATH, &with(json!({"n": 2, "best_of": 6, "logprobs": null}))).await;
    let mean = |choice: &Value| {
        let list = numbers(&choice["logprobs"]["token_logprobs"]);
        list.iter().flatten().sum::<f64>() / list.len() as f64
    };
    let choices = |answer: &Value| answer["choices"].as_array().expect("choices").clone();
    assert_eq!(choices(&best).len(), 4);
    for prompt in 0..2 {
        let mut drawn = choices(&all)[6 * prompt..6 * prompt + 6].to_vec();
        drawn.sort_by(|one, other| mean(other).total_cmp(&mean(one)));
        for (rank, drawn) in drawn[..2].iter().enumerate() {
            let place = 2 * prompt + rank;
            assert_eq!(choices(&best)[place]["text"], drawn["text"]);
            assert_eq!(choices(&best)[place]["index"], place);
            assert_eq!(choices(&silent)[place]["text"], drawn["text"]);
            assert_eq!(choices(&silent)[place]["logprobs"], Value::Null);
        }
    }
    assert_eq!(
        best["usage"]["completion_tokens"], all["usage"]["completion_tokens"],
        "all that was drawn"
    );
    for (more, param) in [
        (json!({"n": 3, "best_of": 2}), "best_of"),
        (json!({"best_of": 9}), "best_of"),
        (json!({"best_of": 2, "stream": true}), "best_of"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"logprobs": 6}), "logprobs"),
    ] {
        tiny.refuses(PATH, &with(more), param, "invalid_value").await;
    }
    tiny.server.stop().await.expect("a clean end");
}

/// Tokens of prompts with a hole, behind those of the small vocabulary.
const HOLE: [&str; 3] = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];

#[tokio::test]
async fn a_suffix_is_for_models_that_fill_holes() {
    let mut model = chatty();
    let tiny = serve(&model, context(CONTEXT)).await;
    let body =
        json!({"model": MODEL, "prompt": "abc", "suffix": "xy", "max_tokens": 8, "temperature": 0});
    tiny.refuses(PATH, &body, "suffix", "unsupported_parameter").await;
    tiny.server.stop().await.expect("a clean end");

    let list =
        |key: &str| model.metadata.iter().find(|(name, _)| name == key).expect("one").1.clone();
    let Meta::Texts(mut texts) = list("tokenizer.ggml.tokens") else { panic!("texts") };
    let Meta::I32s(mut kinds) = list("tokenizer.ggml.token_type") else { panic!("kinds") };
    texts.extend(HOLE.map(str::to_owned));
    kinds.extend([3; 3]);
    model.remove_tensor("token_embd.weight");
    model.tensors.push(Random(11).tensor("token_embd.weight", &[EMBEDDING, texts.len()], 1.0));
    model.set("tokenizer.ggml.tokens", Meta::Texts(texts));
    model.set("tokenizer.ggml.token_type", Meta::I32s(kinds));
    for (key, id) in [("fim_pre", 258), ("fim_suf", 259), ("fim_mid", 260)] {
        model.set(&format!("tokenizer.ggml.{key}_token_id"), Meta::U32(id));
    }
    let tiny = serve(&model, context(CONTEXT)).await;
    let filled = tiny.server.ask(PATH, &body).await;
    let tokens = [vec![258, 256, 99, 259], ids("xy"), vec![260]].concat();
    let plain = json!({"model": MODEL, "prompt": tokens, "max_tokens": 8, "temperature": 0});
    let plain = tiny.server.ask(PATH, &plain).await;
    assert_eq!(filled["choices"], plain["choices"]);
    assert_eq!(filled["usage"]["prompt_tokens"], 7);
    let mut both = body.clone();
    both["echo"] = json!(true);
    tiny.refuses(PATH, &both, "suffix", "unsupported_value").await;
    tiny.server.stop().await.expect("a clean end");
}
