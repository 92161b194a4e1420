//! Calls of tools on the wire, from a random model whose template can write them: whatever such a model says, a call that it
//! begins is one of a known function with arguments that fit.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::{
    support::{Answer, MODEL, Setup, TestServer, chunks},
    tiny_model::{EMBEDDING, Meta, Random, TinyModel},
};

const CHAT: &str = "/v1/chat/completions";
/// Tokens of the byte-level vocabulary before those that a test adds.
const TOKENS: usize = 258;

/// How a template writes what came before, and where the marks are.
const HERMES: &str = "{% if tools %}T:{% for tool in tools %}{{ tool | tojson }};{% endfor %}{% endif %}{% for m in messages %}\
    {{ m.role }}:{{ m.content or '' }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}\
    {% if m.tool_call_id %}({{ m.tool_call_id }}){% endif %}|{% endfor %}A:";
const LLAMA: &str = "{% if tools %}<|python_tag|>{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}";
const MISTRAL: &str = "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.content }}[TOOL_CALLS] [{% endfor %}";
const MISTRAL_NAMED: &str = "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}[TOOL_CALLS]x[ARGS]";

/// Ordinary text that is always one token, and one that steers.
const LITERAL: i32 = 4;
const CONTROL: i32 = 3;

struct Model {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

/// A random model with this template and these tokens beside its bytes; their ids begin at [`TOKENS`].
fn model(template: &str, extra: &[(&str, i32)]) -> Model {
    let mut tiny = TinyModel::new();
    let list = |tiny: &TinyModel, name: &str| {
        let found = tiny.metadata.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).expect("a list")
    };
    let Meta::Texts(mut texts) = list(&tiny, "tokenizer.ggml.tokens") else { panic!("texts") };
    let Meta::I32s(mut kinds) = list(&tiny, "tokenizer.ggml.token_type") else { panic!("kinds") };
    assert_eq!(texts.len(), TOKENS);
    texts.extend(extra.iter().map(|(text, _)| (*text).to_owned()));
    kinds.extend(extra.iter().map(|(_, kind)| *kind));
    tiny.remove_tensor("token_embd.weight");
    tiny.tensors.push(Random(11).tensor("token_embd.weight", &[EMBEDDING, texts.len()], 1.0));
    tiny.set("tokenizer.ggml.tokens", Meta::Texts(texts));
    tiny.set("tokenizer.ggml.token_type", Meta::I32s(kinds));
    tiny.set("tokenizer.chat_template", Meta::Text(template.to_owned()));
    tiny.set("llama.context_length", Meta::U32(4096));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tools.gguf");
    tiny.write(&path);
    Model { path, _folder: folder }
}

async fn serve(model: &Model) -> TestServer {
    let setup = Setup::default().config("/engine/contextLength", json!(4096));
    let source = setup.fixed();
    setup.serve_file(source, model.path.clone()).await
}

fn weather() -> Value {
    json!({"type": "function", "function": {
        "name": "get_weather", "description": "What's the weather in <city>?",
        "parameters": {
            "type": "object", "required": ["city", "days"], "additionalProperties": false,
            "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}}
        }
    }})
}

fn clock() -> Value {
    json!({"type": "function", "function": {"name": "clock", "strict": true}})
}

fn asked(more: Value) -> Value {
    let mut body = json!({
        "model": MODEL, "max_tokens": 300, "seed": 3, "messages": [{"role": "user", "content": "Weather?"}],
        "tools": [weather(), clock()]
    });
    let (Some(members), Value::Object(more)) = (body.as_object_mut(), more) else {
        panic!("objects")
    };
    members.extend(more);
    body
}

/// Makes a token certain wherever it may stand.
fn wants(token: usize) -> Value {
    json!({token.to_string(): 100})
}

/// Checks that calls have their shape and arguments that fit; gives names and arguments.
fn calls(message: &Value) -> Vec<(String, Value)> {
    let parameters = weather()["function"]["parameters"].clone();
    let validator = jsonschema::validator_for(&parameters).expect("a schema");
    let list = message["tool_calls"].as_array().expect("calls");
    let call = |call: &Value| {
        assert_eq!(call["type"], "function");
        assert!(call["id"].as_str().expect("an id").len() >= 9, "{call}");
        let name = call["function"]["name"].as_str().expect("a name").to_owned();
        let arguments = call["function"]["arguments"].as_str().expect("arguments");
        let arguments: Value = serde_json::from_str(arguments).expect("JSON");
        match name.as_str() {
            "get_weather" => assert!(validator.is_valid(&arguments), "{arguments}"),
            "clock" => assert_eq!(arguments, json!({})),
            other => panic!("there is no {other}"),
        }
        (name, arguments)
    };
    list.iter().map(call).collect()
}

/// Puts the pieces of a streamed answer together, as clients do; checks their order.
fn assembled(events: &[Value], choice: usize) -> Value {
    let (mut content, mut calls) = (String::new(), Vec::<Value>::new());
    let mut reason = Value::Null;
    let choices = events.iter().flat_map(|event| event["choices"].as_array().expect("choices"));
    for entry in choices.filter(|entry| entry["index"] == choice) {
        assert_eq!(reason, Value::Null, "nothing comes after the reason");
        reason = entry["finish_reason"].clone();
        let delta = &entry["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = piece["index"].as_u64().expect("an index") as usize;
            let more = piece["function"]["arguments"].as_str().expect("arguments");
            if index == calls.len() {
                assert!(
                    piece["id"].is_string() && piece["function"]["name"].is_string(),
                    "{piece}"
                );
                assert_eq!((more, &piece["type"]), ("", &json!("function")));
                let mut call = piece.clone();
                call.as_object_mut().expect("an object").remove("index");
                calls.push(call);
                continue;
            }
            assert_eq!(index, calls.len() - 1, "one call after the other");
            assert_eq!(piece.as_object().expect("an object").len(), 2, "{piece}");
            assert!(!more.is_empty() && piece["function"].get("name").is_none(), "{piece}");
            let whole = &mut calls[index]["function"]["arguments"];
            *whole = json!(format!("{}{more}", whole.as_str().expect("arguments")));
        }
    }
    json!({"message": {"content": content, "tool_calls": calls}, "finish_reason": reason})
}

#[tokio::test]
async fn every_syntax_gives_the_same_shape_whole_and_streamed() {
    let models = [
        (HERMES, vec![]),
        (HERMES, vec![("<tool_call>", LITERAL), ("</tool_call>", LITERAL)]),
        (HERMES, vec![("<tool_call>", CONTROL), ("</tool_call>", CONTROL)]),
        (LLAMA, vec![("<|python_tag|>", CONTROL)]),
        (MISTRAL, vec![("[TOOL_CALLS]", CONTROL)]),
        (MISTRAL_NAMED, vec![("[TOOL_CALLS]", CONTROL), ("[ARGS]", CONTROL)]),
    ];
    for (template, tokens) in models {
        let model = model(template, &tokens);
        let server = serve(&model).await;
        let named = json!({"type": "function", "function": {"name": "get_weather"}});
        for (choice, seed) in [(json!("required"), 1), (json!("required"), 2), (named.clone(), 3)] {
            let body =
                asked(json!({"tool_choice": choice, "seed": seed, "parallel_tool_calls": false}));
            let answer = server.ask(CHAT, &body).await;
            let entry = &answer["choices"][0];
            let made = calls(&entry["message"]);
            assert_eq!(made.len(), 1, "{template} {tokens:?}: {answer}");
            assert_eq!(entry["message"]["content"], Value::Null);
            assert_eq!(entry["finish_reason"], "tool_calls");
            if choice == named {
                assert_eq!(made[0].0, "get_weather");
            }
            let mut streaming = body;
            streaming["stream"] = json!(true);
            let events = chunks(server.stream(CHAT, &streaming).await.rest().await);
            let streamed = assembled(&events, 0);
            assert_eq!(calls(&streamed["message"]), made);
            assert_eq!(streamed["finish_reason"], "tool_calls");
            assert_eq!(streamed["message"]["content"], "");
        }
        server.stop().await.expect("a clean end");
    }
}

#[tokio::test]
async fn a_call_that_the_model_begins_by_itself_is_held_too() {
    let models = [
        (HERMES, "<tool_call>", LITERAL),
        (HERMES, "<tool_call>", CONTROL),
        // A token that begins the call and goes on as no call does is not taken.
        (HERMES, "<tool_call>!", LITERAL),
        (LLAMA, "{\"name\":", LITERAL),
        (MISTRAL, "[TOOL_CALLS]", CONTROL),
    ];
    for (template, token, kind) in models {
        let model = model(template, &[(token, kind)]);
        let server = serve(&model).await;
        let body = asked(
            json!({"logit_bias": wants(TOKENS), "parallel_tool_calls": false, "max_tokens": 120}),
        );
        let answer = server.ask(CHAT, &body).await;
        let message = &answer["choices"][0]["message"];
        if token.ends_with('!') {
            assert!(message["tool_calls"].is_null(), "{answer}");
            assert!(
                !message["content"].as_str().expect("text").contains("<tool_call>"),
                "{answer}"
            );
        } else {
            assert_eq!(calls(message).len(), 1, "{token} {kind}: {answer}");
            assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
        }
        // Who is not drawn to a call writes text.
        let banned = json!({TOKENS.to_string(): -100, "257": -100});
        let body = asked(json!({"logit_bias": banned, "max_tokens": 20}));
        let answer = server.ask(CHAT, &body).await;
        assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
        assert_eq!(answer["choices"][0]["message"].get("tool_calls"), None, "{answer}");
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
    }
}

#[tokio::test]
async fn several_calls_and_choices_keep_their_places() {
    let model = model(HERMES, &[]);
    let server = serve(&model).await;
    // A line break after each call, so that another follows.
    let body = asked(json!({
        "tool_choice": "required", "logit_bias": wants(10), "n": 2, "stream": true, "max_tokens": 400,
        "stream_options": {"include_usage": true}
    }));
    let mut events = chunks(server.stream(CHAT, &body).await.rest().await);
    let usage = events.pop().expect("usage");
    assert_eq!(usage["usage"]["completion_tokens"], 800, "certain tokens count");
    for choice in 0..2 {
        let answer = assembled(&events, choice);
        assert_eq!(answer["finish_reason"], "length");
        let mut message = answer["message"].clone();
        let list = message["tool_calls"].as_array_mut().expect("calls");
        // The last one may be cut.
        list.pop();
        assert!(calls(&message).len() >= 3, "{answer}");
        let mut ids: Vec<String> = message["tool_calls"]
            .as_array()
            .expect("calls")
            .iter()
            .map(|call| call["id"].to_string())
            .collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), message["tool_calls"].as_array().expect("calls").len());
    }
}

#[tokio::test]
async fn probabilities_and_speculation_change_no_call() {
    let model = model(HERMES, &[]);
    let server = serve(&model).await;
    let body = asked(json!({"tool_choice": "required", "parallel_tool_calls": false}));
    let plain = server.ask(CHAT, &body).await;
    let mut with_logprobs = body.clone();
    with_logprobs["logprobs"] = json!(true);
    let answer = server.ask(CHAT, &with_logprobs).await;
    assert_eq!(calls(&answer["choices"][0]["message"]), calls(&plain["choices"][0]["message"]));
    let entries = answer["choices"][0]["logprobs"]["content"].as_array().expect("entries").len();
    assert_eq!(answer["usage"]["completion_tokens"], entries);
    with_logprobs["stream"] = json!(true);
    let events = chunks(server.stream(CHAT, &with_logprobs).await.rest().await);
    let streamed = events
        .iter()
        .filter_map(|event| event["choices"][0]["logprobs"]["content"].as_array())
        .map(Vec::len);
    assert_eq!(streamed.sum::<usize>(), entries, "none is lost while the parser decides");
}

/// The prompt, in a vocabulary of bytes, has as many tokens as its text has bytes.
#[tokio::test]
async fn templates_get_tools_and_what_came_of_them() {
    let model = model(HERMES, &[]);
    let server = serve(&model).await;
    let tokens = async |more: Value| {
        let mut more = more;
        more["max_tokens"] = json!(1);
        let answer = server.ask(CHAT, &asked(more)).await;
        answer["usage"]["prompt_tokens"].as_u64().expect("a count") as usize
    };
    // As Python's json.dumps writes it, members in the client's order, nothing escaped for HTML.
    let definition = "{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"What's the weather in <city>?\", \
        \"parameters\": {\"type\": \"object\", \"required\": [\"city\", \"days\"], \"additionalProperties\": false, \"properties\": \
        {\"city\": {\"enum\": [\"Paris\", \"Rome\"]}, \"days\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 9}}}}}";
    let told = format!("T:{definition};user:Weather?|A:");
    assert_eq!(tokens(json!({"tools": [weather()]})).await, told.len());
    let untold = "user:Weather?|A:".len();
    assert_eq!(tokens(json!({"tools": [weather()], "tool_choice": "none"})).await, untold);
    assert_eq!(tokens(json!({"tools": []})).await, untold);
    let history = json!([
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": null, "tool_calls": [{
            "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Rome\",\"days\":2}"}
        }]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    ]);
    let text = "user:Weather?|assistant:<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\", \"days\": 2}}\
        </tool_call>|tool:sunny(call_1)|A:";
    assert_eq!(tokens(json!({"messages": history, "tools": []})).await, text.len());
}

#[tokio::test]
async fn what_tools_cannot_be_is_refused_by_its_path() {
    let server = Setup::default().serve().await;
    let cannot = server.post(CHAT, &asked(json!({}))).await;
    refused("no place in the template", &cannot, "tools", "tools_not_supported");
    let history = json!([{"role": "tool", "tool_call_id": "x", "content": "sunny"}]);
    let cannot = server.post(CHAT, &asked(json!({"messages": history, "tools": []}))).await;
    refused("no place for their answers", &cannot, "messages[0]", "tools_not_supported");

    let model = model(HERMES, &[]);
    let server = serve(&model).await;
    let tool = |function: Value| json!({"tools": [{"type": "function", "function": function}]});
    let format = json!({"type": "json_object"});
    let cases = [
        (tool(json!({"name": "a b"})), "tools[0].function.name", "invalid_value"),
        (
            tool(json!({"name": "f", "parameters": {"type": "array"}})),
            "tools[0].function.parameters.type",
            "unsupported_value",
        ),
        (
            tool(json!({"name": "f", "parameters": {"properties": {"a": {"not": {}}}}})),
            "tools[0].function.parameters.properties.a.not",
            "unsupported_value",
        ),
        (
            tool(json!({"name": "f", "strict": true, "parameters": {"properties": {"a": {}}}})),
            "tools[0].function.parameters.additionalProperties",
            "invalid_schema",
        ),
        (tool(json!({"name": "f", "code": 1})), "tools[0].function.code", "unknown_parameter"),
        (json!({"tools": [clock(), clock()]}), "tools[1].function.name", "invalid_value"),
        (json!({"tool_choice": "sometimes"}), "tool_choice", "unsupported_value"),
        (
            json!({"tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice.function.name",
            "invalid_value",
        ),
        (json!({"response_format": format}), "response_format", "unsupported_value"),
        (json!({"tools": null, "tool_choice": "required"}), "tool_choice", "invalid_value"),
    ];
    for (more, param, code) in cases {
        let answer = server.post(CHAT, &asked(more.clone())).await;
        refused(&more.to_string(), &answer, param, code);
    }
    // Without calls, a form is fine.
    let both = json!({"response_format": format, "tool_choice": "none", "max_tokens": 5});
    server.ask(CHAT, &asked(both)).await;
    let many: Map<String, Value> =
        (0..5).map(|index| (format!("p{index}"), json!({"enum": vec!["x"; 300]}))).collect();
    let large = tool(json!({"name": "f", "parameters": {"properties": many}}));
    refused("large", &server.post(CHAT, &asked(large)).await, "", "invalid_schema");
}

fn refused(name: &str, answer: &Answer, param: &str, code: &str) {
    assert_eq!(answer.status, 400, "{name}: {answer:?}");
    let error = &answer.json()["error"];
    assert_eq!(error["code"], code, "{name}: {error}");
    if !param.is_empty() {
        assert_eq!(error["param"], param, "{name}: {error}");
    }
}
