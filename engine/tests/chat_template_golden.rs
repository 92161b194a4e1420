//! Chat templates render as jinja2 renders them for `transformers`. Made by reference/golden_chat_template.py.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

use realm_engine::chat_template::{ChatMessage, ChatTemplate, TemplateError};
use serde_json::Value;

#[test]
fn templates_render_as_jinja2_does() {
    let golden: Value = serde_json::from_str(include_str!("golden/chat_template.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 80);
    for case in cases {
        let (template, conversation) =
            (case["template"].as_str().unwrap(), case["conversation"].as_str().unwrap());
        let source = golden["templates"][template].as_str().unwrap().to_owned();
        let turn = |turn: &Value| ChatMessage {
            role: turn[0].as_str().unwrap().to_owned(),
            content: turn[1].as_str().unwrap().to_owned(),
        };
        let turns = golden["conversations"][conversation].as_array().unwrap();
        let messages: Vec<ChatMessage> = turns.iter().map(turn).collect();
        let chat_template =
            ChatTemplate::new(source, "<|im_start|>".to_owned(), "<|im_end|>".to_owned());
        let rendered =
            chat_template.render(&messages, case["add_generation_prompt"].as_bool().unwrap());
        let expected = match case["prompt"].as_str() {
            Some(prompt) => Ok(prompt.to_owned()),
            None => Err(TemplateError::Refused {
                message: case["refused"].as_str().unwrap().to_owned(),
            }),
        };
        assert_eq!(rendered, expected, "template {template}, conversation {conversation}");
    }
}
