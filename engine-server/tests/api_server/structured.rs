//! `response_format` and the grammar fields over HTTP: a real model's answers are valid, and what cannot be honoured is
//! refused by its path.

use serde_json::{Value, json};

use crate::support::{MODEL, Setup, TestServer, chunks};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

fn asked(more: Value) -> Value {
    let mut body = json!({
        "model": MODEL, "temperature": 0, "max_tokens": 120,
        "messages": [{"role": "user", "content": "Anna is 34 and lives in Paris. Tell me about her as JSON."}]
    });
    let (Some(members), Value::Object(more)) = (body.as_object_mut(), more) else {
        panic!("objects")
    };
    members.extend(more);
    body
}

fn person() -> Value {
    json!({
        "type": "object", "required": ["name", "age", "city"], "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "city": {"type": "string", "maxLength": 20}
        }
    })
}

fn format(schema: &Value, strict: bool) -> Value {
    let schema =
        json!({"name": "person", "description": "A person.", "strict": strict, "schema": schema});
    json!({"response_format": {"type": "json_schema", "json_schema": schema}})
}

fn content(answer: &Value, choice: usize) -> &str {
    answer["choices"][choice]["message"]["content"].as_str().expect("content")
}

#[tokio::test]
async fn a_schema_holds_whole_streamed_and_for_every_choice() {
    let server = Setup::default().serve().await;
    let validator = jsonschema::validator_for(&person()).expect("a schema");
    let body = asked(format(&person(), true));
    let whole = server.ask(CHAT, &body).await;
    let value: Value = serde_json::from_str(content(&whole, 0)).expect("JSON");
    assert!(validator.is_valid(&value), "{value}");
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    assert!(whole["usage"]["completion_tokens"].as_u64().expect("a count") > 10);

    let mut streaming = body.clone();
    streaming["stream"] = json!(true);
    let events = chunks(server.stream(CHAT, &streaming).await.rest().await);
    let pieces = events.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(pieces.collect::<String>(), content(&whole, 0));

    let mut several = asked(format(&person(), false));
    several["n"] = json!(3);
    several["temperature"] = json!(1.5);
    several["seed"] = json!(4);
    let answer = server.ask(CHAT, &several).await;
    for choice in 0..3 {
        let value: Value = serde_json::from_str(content(&answer, choice)).expect("JSON");
        assert!(validator.is_valid(&value), "{value}");
    }
    assert_ne!(content(&answer, 0), content(&answer, 1), "choices have seeds of their own");
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn other_grammars_hold_on_both_endpoints() {
    let server = Setup::default().serve().await;
    let grammars = [
        json!({"structured_outputs": {"choice": ["red", "green", "blue"]}}),
        json!({"guided_choice": ["red", "green", "blue"]}),
        json!({"structured_outputs": {"regex": "(red|green|blue)"}}),
        json!({"guided_regex": "(red|green|blue)"}),
        json!({"structured_outputs": {"grammar": "start: \"red\" | \"green\" | \"blue\""}}),
        json!({"guided_grammar": "start: \"red\" | \"green\" | \"blue\""}),
    ];
    for grammar in grammars {
        let answer = server.ask(CHAT, &asked(grammar.clone())).await;
        assert!(["red", "green", "blue"].contains(&content(&answer, 0)), "{grammar}: {answer}");
        let mut text = grammar.clone();
        text["model"] = json!(MODEL);
        text["prompt"] = json!(["The sky is", "Grass is"]);
        let answer = server.ask(TEXT, &text).await;
        for choice in 0..2 {
            let said = answer["choices"][choice]["text"].as_str().expect("text");
            assert!(["red", "green", "blue"].contains(&said), "{grammar}: {answer}");
        }
    }
    let schema = json!({"type": "object", "required": ["n"], "additionalProperties": false,
                        "properties": {"n": {"type": "integer", "maximum": 99, "minimum": 10}}});
    for grammar in [
        json!({"structured_outputs": {"json": schema}}),
        json!({"guided_json": schema.to_string()}),
    ] {
        let answer = server.ask(CHAT, &asked(grammar)).await;
        let value: Value = serde_json::from_str(content(&answer, 0)).expect("JSON");
        assert!((10..=99).contains(&value["n"].as_i64().expect("a number")), "{value}");
    }
    let any = server.ask(CHAT, &asked(json!({"response_format": {"type": "json_object"}}))).await;
    let said = content(&any, 0);
    assert!(said.starts_with('{'), "{said}");
    if any["choices"][0]["finish_reason"] == "stop" {
        assert!(serde_json::from_str::<Value>(said).expect("JSON").is_object());
    }
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_by_its_path() {
    let server = Setup::default().serve().await;
    let schema = |schema: Value| format(&schema, false);
    let deep = (0..60).fold(json!({}), |inner, _| json!({"items": inner}));
    let at = "response_format.json_schema";
    let cases = [
        (json!({"response_format": {"type": "json_schema"}}), at.to_owned(), "missing"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}}),
            format!("{at}.name"),
            "invalid_value",
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}),
            format!("{at}.schema"),
            "missing",
        ),
        (
            schema(json!({"type": "object", "properties": {"a": {"not": {}}}})),
            format!("{at}.schema.properties.a.not"),
            "unsupported_value",
        ),
        (
            schema(json!({"type": "string", "format": "iri"})),
            format!("{at}.schema.format"),
            "unsupported_value",
        ),
        (schema(deep), String::new(), "invalid_schema"),
        (
            schema(json!({"enum": (0..1500).collect::<Vec<u32>>()})),
            format!("{at}.schema.enum"),
            "invalid_schema",
        ),
        (
            schema(json!({"description": "x".repeat(1 << 20)})),
            format!("{at}.schema.description"),
            "invalid_schema",
        ),
        (
            schema(json!({"oneOf": [{"type": "integer"}, {"type": "number"}]})),
            format!("{at}.schema"),
            "invalid_schema",
        ),
        (
            format(
                &json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false}),
                true,
            ),
            format!("{at}.schema.required"),
            "invalid_schema",
        ),
    ];
    for (more, param, code) in cases {
        let name: String = more.to_string().chars().take(200).collect();
        refused(&server, &name, &asked(more), &param, code).await;
    }
}

#[tokio::test]
async fn grammar_fields_are_refused_by_their_path_too() {
    let server = Setup::default().serve().await;
    let cases = [
        (json!({"structured_outputs": {}}), "structured_outputs.json".to_owned(), "missing"),
        (
            json!({"structured_outputs": {"xml": 1, "regex": "a"}}),
            "structured_outputs.xml".to_owned(),
            "unknown",
        ),
        (json!({"guided_regex": "(a"}), "guided_regex".to_owned(), "invalid_schema"),
        (json!({"guided_choice": []}), "guided_choice".to_owned(), "invalid_schema"),
        (json!({"guided_choice": ["a", 3]}), "guided_choice[1]".to_owned(), "invalid_type"),
        (
            json!({"guided_regex": "a", "guided_choice": ["a"]}),
            "guided_choice".to_owned(),
            "invalid_value",
        ),
        (json!({"guided_grammar": "start: other"}), "guided_grammar".to_owned(), "invalid_schema"),
        (
            json!({"guided_grammar": "start: %json {\"not\": {}}"}),
            "guided_grammar".to_owned(),
            "unsupported_value",
        ),
    ];
    for (more, param, code) in cases {
        refused(&server, &more.to_string(), &asked(more.clone()), &param, code).await;
    }
}

async fn refused(server: &TestServer, name: &str, body: &Value, param: &str, code: &str) {
    let answer = server.post(CHAT, body).await;
    assert_eq!(answer.status, 400, "{name}: {answer:?}");
    let error = answer.json()["error"].clone();
    let found = error["code"].as_str().expect("a code");
    assert!(found.starts_with(code), "{name}: {error}");
    if !param.is_empty() {
        assert_eq!(error["param"], param, "{name}: {error}");
        assert!(error["message"].as_str().expect("a message").contains(param), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_constraint_without_a_way_on_is_an_error_of_its_own() {
    let server = Setup::default().serve().await;
    let options = realm_engine::engine::ModelOptions::default();
    let model = realm_engine::engine::Model::open(&crate::support::model_path(), &options)
        .expect("the model");
    let tokens = model.tokenizer().encode("yes", realm_engine::tokenizer::SpecialTokens::AsText);
    let every_way: serde_json::Map<String, Value> = (0..model.info().vocab_size as u32)
        .filter(|&token| {
            let bytes = model.tokenizer().token_bytes(token).unwrap_or_default();
            let part_of = |text: &[u8]| text.windows(bytes.len()).any(|part| part == bytes);
            !bytes.is_empty() && (part_of(b"yes") || part_of(b"you"))
        })
        .map(|token| (token.to_string(), json!(-100)))
        .collect();
    assert!(every_way.len() >= tokens.len());
    let body = asked(json!({"guided_choice": ["yes", "you"], "logit_bias": every_way}));
    let answer = server.post(CHAT, &body).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], "constraint_failed");
    server.ask(CHAT, &asked(json!({"guided_choice": ["yes", "you"]}))).await;
}
