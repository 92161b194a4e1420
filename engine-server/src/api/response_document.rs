//! A response and its events on the wire.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    api::{openai::Usage, response_request::Told},
    scheduler::event::FinishReason,
};

/// A response.
#[derive(Debug, Clone, Serialize)]
pub struct ResponseDocument {
    /// Identity of the response.
    pub id: String,
    /// Always `response`.
    pub object: &'static str,
    /// When it began, in seconds since 1970.
    pub created_at: u64,
    /// Where it is.
    pub status: &'static str,
    /// Always null: a response that fails is an error.
    pub error: Option<()>,
    /// Why it is not complete, when it is not.
    pub incomplete_details: Option<Value>,
    /// What the model was told before the conversation.
    pub instructions: Option<String>,
    /// Tokens of the answer at most, as asked for.
    pub max_output_tokens: Option<usize>,
    /// Served name of the model.
    pub model: String,
    /// The answer's message, when it is there.
    pub output: Vec<Value>,
    /// Token counts, at the end.
    pub usage: Option<Value>,
    /// How tokens were chosen.
    pub temperature: f32,
    /// The same.
    pub top_p: f32,
    /// The form of the text.
    pub text: Value,
    /// The client's own notes.
    pub metadata: Map<String, Value>,
    /// What no response of this server has or does: tools, reasoning, stored responses, shortened input.
    #[serde(flatten)]
    pub fixed: Fixed,
}

/// What is the same in every response.
#[derive(Debug, Clone, Serialize)]
pub struct Fixed {
    parallel_tool_calls: bool,
    previous_response_id: Option<()>,
    reasoning: Value,
    store: bool,
    tool_choice: &'static str,
    tools: [(); 0],
    truncation: &'static str,
}

impl Default for Fixed {
    fn default() -> Self {
        Self {
            parallel_tool_calls: false,
            previous_response_id: None,
            reasoning: json!({"effort": null, "summary": null}),
            store: false,
            tool_choice: "none",
            tools: [],
            truncation: "disabled",
        }
    }
}

/// An event of a response; its kind is the first member.
#[derive(Debug, Serialize)]
pub struct ResponseEvent<'a> {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its place among the events.
    pub sequence_number: usize,
    /// The rest.
    #[serde(flatten)]
    pub body: &'a Map<String, Value>,
}

/// Its form as the response tells it.
pub fn text_form(told: &Told) -> Value {
    let plain = || json!({"type": "text"});
    json!({"format": told.format.clone().unwrap_or_else(plain)})
}

/// A message with this text.
pub fn message(id: &str, status: &str, text: Option<&str>) -> Value {
    let content: Vec<Value> = text.map(part).into_iter().collect();
    json!({"type": "message", "id": id, "status": status, "role": "assistant", "content": content})
}

/// A message's part.
pub fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// Status of what has ended, and why it is not complete.
pub fn ended(reason: FinishReason) -> (&'static str, Option<Value>) {
    match reason {
        FinishReason::Stop => ("completed", None),
        FinishReason::Length => ("incomplete", Some(json!({"reason": "max_output_tokens"}))),
        FinishReason::Filtered => ("incomplete", Some(json!({"reason": "content_filter"}))),
    }
}

/// Token counts by the names that responses have for them.
pub fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.prompt_tokens_details.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    })
}
