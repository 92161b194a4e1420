//! Responses: the same text as a chat's, in the documents and events that clients of this endpoint read.

use serde_json::{Value, json};

use crate::{
    support::MODEL,
    tiny::{Tiny, chatty, context, serve, serve_tenants},
    tiny_model::Meta,
};

const PATH: &str = "/v1/responses";

fn asked(more: Value) -> Value {
    let mut body =
        json!({"model": MODEL, "input": "Hi", "temperature": 0, "max_output_tokens": 12});
    let (Value::Object(fields), Value::Object(more)) = (&mut body, more) else { panic!("objects") };
    fields.extend(more);
    body
}

fn text(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"].as_str().expect("text")
}

async fn chat(tiny: &Tiny, messages: Value) -> Value {
    let body = json!({"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": 12});
    tiny.server.ask("/v1/chat/completions", &body).await
}

#[tokio::test]
async fn a_response_says_what_a_chat_says() {
    let tiny = serve(&chatty(), context(512)).await;
    let user = json!({"role": "user", "content": "Hi"});
    let system = json!({"role": "system", "content": "Be brief."});
    let assistant = json!({"role": "assistant", "content": "Hello"});
    let part = |kind: &str, text: &str| json!([{"type": kind, "text": text}]);
    let cases = [
        (json!({}), json!([user])),
        (json!({"instructions": "Be brief."}), json!([system, user])),
        (json!({"input": [user, assistant, user]}), json!([user, assistant, user])),
        (
            json!({"input": [
                {"type": "message", "role": "developer", "content": part("input_text", "Be brief.")},
                {"role": "user", "content": part("input_text", "Hi")},
                {"type": "message", "id": "msg-1", "status": "completed", "role": "assistant",
                 "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}]},
                user
            ]}),
            json!([system, user, assistant, user]),
        ),
    ];
    for (more, messages) in cases {
        let response = tiny.server.ask(PATH, &asked(more.clone())).await;
        let chat = chat(&tiny, messages).await;
        assert_eq!(
            text(&response),
            chat["choices"][0]["message"]["content"].as_str().expect("text"),
            "{more}"
        );
        assert_eq!(response["usage"]["input_tokens"], chat["usage"]["prompt_tokens"]);
        assert_eq!(response["usage"]["output_tokens"], chat["usage"]["completion_tokens"]);
        assert_eq!((&response["object"], &response["model"]), (&json!("response"), &json!(MODEL)));
        assert_eq!(response["instructions"], more.get("instructions").cloned().unwrap_or_default());
        let (status, details) = match chat["choices"][0]["finish_reason"].as_str() {
            Some("length") => ("incomplete", json!({"reason": "max_output_tokens"})),
            _ => ("completed", Value::Null),
        };
        assert_eq!(
            (&response["status"], &response["incomplete_details"]),
            (&json!(status), &details)
        );
        assert_eq!(response["output"][0]["status"], status);
    }
    tiny.server.stop().await.expect("a clean end");
}

/// Kind and data of each event.
async fn events(tiny: &Tiny, body: &Value) -> Vec<Value> {
    let answer = tiny.server.post(PATH, body).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
    let event = |event: &str| {
        let (kind, data) = event.split_once('\n').expect("two lines");
        let data: Value =
            serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
        assert_eq!(kind.strip_prefix("event: "), data["type"].as_str(), "{event}");
        data
    };
    answer
        .text
        .split_terminator("\n\n")
        .filter(|event| !event.starts_with(':'))
        .map(event)
        .collect()
}

#[tokio::test]
async fn events_tell_a_response_in_order() {
    let tiny = serve(&chatty(), context(512)).await;
    for (bias_end, kind) in [(true, "response.incomplete"), (false, "response.completed")] {
        let form = json!({"text": {"format": {"type": "json_schema", "name": "n",
                                             "schema": {"enum": ["yes", "no"]}}}});
        let more = if bias_end { json!({"max_output_tokens": 3}) } else { form };
        let whole = tiny.server.ask(PATH, &asked(more.clone())).await;
        let mut body = asked(more);
        body["stream"] = json!(true);
        let events = events(&tiny, &body).await;
        for (place, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], place);
        }
        let kinds: Vec<&str> =
            events.iter().map(|event| event["type"].as_str().expect("a kind")).collect();
        let [created, progress, added, part, deltas @ .., done, part_done, item_done, last] =
            &kinds[..]
        else {
            panic!("{kinds:?}")
        };
        assert_eq!(
            [*created, progress, added, part],
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added"
            ]
        );
        assert_eq!(
            [*done, part_done, item_done, last],
            [
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                kind
            ]
        );
        assert!(deltas.iter().all(|delta| *delta == "response.output_text.delta"), "{kinds:?}");
        let said: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
        assert_eq!(said, text(&whole));
        let end = &events[events.len() - 1]["response"];
        assert_eq!((text(end), &end["status"]), (text(&whole), &whole["status"]));
        assert_eq!(end["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
        let id = &end["output"][0]["id"];
        assert!(events.iter().filter_map(|event| event.get("item_id")).all(|item| item == id));
        assert_eq!(events[0]["response"]["status"], "in_progress");
    }
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn the_form_of_a_text_holds_and_notes_come_back() {
    let tiny = serve(&chatty(), context(512)).await;
    let schema = json!({"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"],
                        "additionalProperties": false});
    let format = json!({"type": "json_schema", "name": "n", "schema": schema, "strict": true});
    let more = json!({"text": {"format": format}, "metadata": {"k": "v"}, "store": true, "user": "u",
                      "max_output_tokens": 100, "truncation": "disabled", "tool_choice": "auto", "tools": []});
    let response = tiny.server.ask(PATH, &asked(more)).await;
    let said: Value = serde_json::from_str(text(&response)).expect("JSON");
    assert!(["1", "2"].contains(&said["a"].to_string().as_str()), "{said}");
    assert_eq!((&response["text"]["format"], &response["metadata"]), (&format, &json!({"k": "v"})));
    assert_eq!((&response["store"], &response["status"]), (&json!(false), &json!("completed")));
    let plain = tiny.server.ask(PATH, &asked(json!({"text": {"format": {"type": "text"}}}))).await;
    assert_eq!(plain["text"], json!({"format": {"type": "text"}}));
    tiny.server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn what_is_not_done_is_named() {
    let mut model = chatty();
    let tiny = serve(&model, context(512)).await;
    let item = |item: Value| json!({"input": [item]});
    let cases = [
        (json!({"input": null}), "input", "missing_required_parameter"),
        (json!({"input": []}), "input", "invalid_value"),
        (json!({"input": 5}), "input", "invalid_type"),
        (
            item(json!({"type": "function_call_output", "call_id": "c", "output": "x"})),
            "input[0].type",
            "unsupported_value",
        ),
        (item(json!({"role": "tool", "content": "x"})), "input[0].role", "unsupported_value"),
        (item(json!({"role": "user"})), "input[0].content", "missing_required_parameter"),
        (
            item(json!({"role": "user", "content": [{"type": "input_image", "image_url": "x"}]})),
            "input[0].content[0].type",
            "unsupported_value",
        ),
        (
            item(json!({"role": "user", "content": "x", "mood": 1})),
            "input[0].mood",
            "unknown_parameter",
        ),
        (
            json!({"previous_response_id": "resp_1"}),
            "previous_response_id",
            "unsupported_parameter",
        ),
        (json!({"tools": [{"type": "web_search"}]}), "tools", "unsupported_parameter"),
        (json!({"reasoning": {"effort": "low"}}), "reasoning", "unsupported_parameter"),
        (json!({"background": true}), "background", "unsupported_parameter"),
        (json!({"include": ["x"]}), "include", "unsupported_parameter"),
        (json!({"truncation": "auto"}), "truncation", "unsupported_value"),
        (json!({"tool_choice": "required"}), "tool_choice", "unsupported_value"),
        (json!({"text": {"verbosity": "low"}}), "text.verbosity", "unsupported_parameter"),
        (json!({"text": {"format": {"type": "xml"}}}), "text.format.type", "unsupported_value"),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n"}}}),
            "text.format.schema",
            "missing_required_parameter",
        ),
        (json!({"max_output_tokens": 0}), "max_output_tokens", "invalid_value"),
        (json!({"temperature": 3}), "temperature", "invalid_value"),
        (json!({"metadata": 5}), "metadata", "invalid_type"),
        (json!({"n": 2}), "n", "unknown_parameter"),
        (json!({"input": "x".repeat(600)}), "input", "context_length_exceeded"),
    ];
    for (more, param, code) in cases {
        tiny.refuses(PATH, &asked(more), param, code).await;
    }
    tiny.server.stop().await.expect("a clean end");
    model.set("llama.context_length", Meta::U32(512));
    let tiny = serve_tenants(&model, context(512), &[("a", json!({"requestsPerMinute": 1}))]).await;
    assert_eq!(tiny.server.post(PATH, &asked(json!({}))).await.status, 401);
    assert_eq!(tiny.ask_as("a", PATH, &asked(json!({}))).await.status, 200);
    assert_eq!(tiny.ask_as("a", PATH, &asked(json!({}))).await.status, 429);
    tiny.server.stop().await.expect("a clean end");
}
