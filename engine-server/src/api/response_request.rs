//! `POST /v1/responses`: the request, read field by field. Text in, text out.

use realm_engine::{chat_template::Turn, sampler::SamplerParams};
use serde_json::{Map, Value};

use crate::api::{
    error::ApiError,
    fields::{self, Fields},
    generation::{Delivery, Generation, MAX_TOKENS},
    structured::{Structure, text_format},
};

/// Items of an input, at most.
const MAX_ITEMS: usize = 4096;
/// Parts of a message, at most.
const MAX_PARTS: usize = 1024;
/// Taken, and without any effect on the answer; nothing is ever stored.
const BOOKKEEPING: [&str; 4] = ["store", "user", "safety_identifier", "prompt_cache_key"];
/// Fields of OpenAI's API that are refused.
const UNSUPPORTED: [&str; 13] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "max_tool_calls",
    "moderation",
    "previous_response_id",
    "prompt",
    "prompt_cache_retention",
    "reasoning",
    "stream_options",
    "tools",
    "top_logprobs",
];

/// A request as the client meant it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseRequest {
    /// Name of the model.
    pub model: String,
    /// The conversation: the instructions first, when there are any.
    pub turns: Vec<Turn>,
    /// How to generate.
    pub generation: Generation,
    /// What the answer has to be, if not just any text.
    pub structure: Option<Structure>,
    /// What the response repeats of the request.
    pub told: Told,
}

/// What a response repeats of its request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    /// What the model was told before the conversation.
    pub instructions: Option<String>,
    /// The client's own notes.
    pub metadata: Map<String, Value>,
    /// The form of the text, as it was asked for.
    pub format: Option<Value>,
}

impl ResponseRequest {
    /// Reads the body. `seed` decides what is drawn.
    pub fn parse(mut fields: Fields, seed: u64) -> Result<Self, ApiError> {
        let model = fields.required_string("model")?;
        let instructions = fields.string("instructions")?;
        let mut turns: Vec<Turn> =
            instructions.iter().map(|text| turn("system", text.clone())).collect();
        turns.extend(input(fields.required("input")?)?);
        let generation = generation(&mut fields, seed)?;
        let (structure, format) = text(&mut fields)?;
        let metadata = match fields.take("metadata") {
            None => Map::new(),
            Some(Value::Object(map)) => map,
            Some(other) => return Err(fields::wrong_type("metadata", "an object", &other)),
        };
        fields.bookkeeping(&BOOKKEEPING);
        fields.unsupported(&UNSUPPORTED)?;
        neutral(&mut fields)?;
        fields.finish()?;
        let told = Told { instructions, metadata, format };
        Ok(Self { model, turns, generation, structure, told })
    }
}

fn generation(fields: &mut Fields, seed: u64) -> Result<Generation, ApiError> {
    let default = SamplerParams::default();
    let max_tokens = fields.integer("max_output_tokens", 1..=MAX_TOKENS)?;
    let stream = fields.boolean("stream")?.unwrap_or(false);
    Ok(Generation {
        max_tokens: max_tokens.map(|tokens| tokens as usize),
        sampling: SamplerParams {
            temperature: fields.number("temperature", 0.0..=2.0)?.unwrap_or(default.temperature),
            top_p: fields.number("top_p", 0.0..=1.0)?.unwrap_or(default.top_p),
            seed: Some(seed),
            ..default
        },
        stop: Vec::new(),
        choices: 1,
        // The last event has the token counts.
        delivery: if stream { Delivery::Stream { include_usage: true } } else { Delivery::Whole },
    })
}

fn text(fields: &mut Fields) -> Result<(Option<Structure>, Option<Value>), ApiError> {
    let Some(value) = fields.take("text") else { return Ok((None, None)) };
    let format = value.get("format").filter(|format| !format.is_null()).cloned();
    let mut text = Fields::at("text", value)?;
    let structure = text_format(&mut text)?;
    text.unsupported(&["verbosity"])?;
    text.finish()?;
    Ok((structure, format))
}

/// Fields of which one value is what this server does anyway; others are refused.
fn neutral(fields: &mut Fields) -> Result<(), ApiError> {
    only(fields, "truncation", &["disabled".into()])?;
    only(fields, "service_tier", &["auto".into(), "default".into()])?;
    // Without tools both of them are true of every answer.
    only(fields, "tool_choice", &["none".into(), "auto".into()])?;
    only(fields, "parallel_tool_calls", &[true.into(), false.into()])
}

fn only(fields: &mut Fields, name: &str, neutral: &[Value]) -> Result<(), ApiError> {
    match fields.take(name) {
        Some(value) if !neutral.contains(&value) => {
            let supported: Vec<String> = neutral.iter().map(Value::to_string).collect();
            let supported = format!("only {}", supported.join(" and "));
            Err(fields::unsupported_value(&fields.path(name), &value.to_string(), &supported))
        }
        _ => Ok(()),
    }
}

/// A text, or a list of messages.
fn input(value: Value) -> Result<Vec<Turn>, ApiError> {
    let list = match value {
        Value::String(text) => return Ok(vec![turn("user", text)]),
        Value::Array(list) => list,
        other => return Err(fields::wrong_type("input", "a string or a list of messages", &other)),
    };
    if list.is_empty() {
        let message = "`input` is empty; send at least one message";
        return Err(ApiError::invalid("input", "invalid_value", message));
    }
    if list.len() > MAX_ITEMS {
        return Err(fields::too_many("input", list.len(), MAX_ITEMS));
    }
    let items = list.into_iter().enumerate();
    items.map(|(index, item)| message(&format!("input[{index}]"), item)).collect()
}

fn message(path: &str, item: Value) -> Result<Turn, ApiError> {
    let mut fields = Fields::at(path, item)?;
    let kind = fields.string("type")?;
    if let Some(kind) = kind.filter(|kind| kind != "message") {
        let path = fields.path("type");
        return Err(fields::unsupported_value(&path, &format!("{kind:?}"), "only \"message\""));
    }
    let path = fields.path("role");
    let role = match fields.required_string("role")?.as_str() {
        "developer" | "system" => "system",
        "user" => "user",
        "assistant" => "assistant",
        other => {
            let roles = "system, developer, user and assistant";
            return Err(fields::unsupported_value(&path, &format!("{other:?}"), roles));
        }
    };
    let path = fields.path("content");
    let content = content(&path, fields.required("content")?)?;
    // What an earlier answer says of itself.
    fields.bookkeeping(&["id", "status", "phase"]);
    fields.finish()?;
    Ok(turn(role, content))
}

/// A string, or parts of text, which are joined by line breaks.
fn content(path: &str, value: Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Array(parts) if parts.len() > MAX_PARTS => {
            Err(fields::too_many(path, parts.len(), MAX_PARTS))
        }
        Value::Array(parts) => {
            let parts = parts.into_iter().enumerate();
            let texts = parts.map(|(index, value)| part(&format!("{path}[{index}]"), value));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        other => Err(fields::wrong_type(path, "a string or a list of parts", &other)),
    }
}

fn part(path: &str, value: Value) -> Result<String, ApiError> {
    let mut fields = Fields::at(path, value)?;
    let kind = fields.required_string("type")?;
    if kind != "input_text" && kind != "output_text" {
        let kinds = "\"input_text\" and \"output_text\"";
        let path = fields.path("type");
        return Err(fields::unsupported_value(&path, &format!("{kind:?}"), kinds));
    }
    let text = fields.required_string("text")?;
    fields.unsupported(&["annotations", "logprobs"])?;
    fields.finish()?;
    Ok(text)
}

fn turn(role: &str, content: String) -> Turn {
    Turn {
        role: role.to_owned(),
        content: Some(content),
        tool_calls: Vec::new(),
        tool_call_id: None,
        name: None,
    }
}
