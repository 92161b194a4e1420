//! `POST /v1/chat/completions`: the request, read field by field.

use realm_engine::chat_template::Turn;
use serde_json::Value;

use crate::api::{
    error::ApiError,
    fields::{self, Fields},
    generation::Generation,
    structured::Structure,
    tools::{self, ToolChoice, ToolSet},
};

/// Messages of a conversation, at most.
const MAX_MESSAGES: usize = 4096;
/// Parts of a message, at most.
const MAX_PARTS: usize = 1024;
/// Alternatives that `top_logprobs` may ask for, at most.
const MAX_TOP_LOGPROBS: i64 = 20;
/// Fields of OpenAI's API that are refused.
const UNSUPPORTED: [&str; 10] = [
    "functions",
    "function_call",
    "audio",
    "prediction",
    "reasoning_effort",
    "verbosity",
    "web_search_options",
    "moderation",
    "prompt_cache_retention",
    "prompt_cache_options",
];

/// A chat request as the client meant it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// Name of the model.
    pub model: String,
    /// The conversation; at least one message.
    pub messages: Vec<Turn>,
    /// How to generate.
    pub generation: Generation,
    /// Alternatives to report for each token; `None` reports no probabilities.
    pub top_logprobs: Option<usize>,
    /// What the answer has to be, if not just any text.
    pub structure: Option<Structure>,
    /// What the model may call.
    pub tools: Option<ToolSet>,
}

impl ChatRequest {
    /// Reads the body. `seed` is used when the client names none.
    pub fn parse(mut fields: Fields, seed: u64) -> Result<Self, ApiError> {
        let model = fields.required_string("model")?;
        let messages = messages(&mut fields)?;
        let generation = Generation::parse(&mut fields, seed)?;
        let top_logprobs = logprobs(&mut fields)?;
        let structure = Structure::parse(&mut fields)?;
        let tools = ToolSet::parse(&mut fields)?;
        check_one_form(structure.as_ref(), tools.as_ref())?;
        fields.unsupported(&UNSUPPORTED)?;
        neutral_values(&mut fields)?;
        fields.finish()?;
        Ok(Self { model, messages, generation, top_logprobs, structure, tools })
    }
}

/// An answer is a text of a form, or calls.
fn check_one_form(structure: Option<&Structure>, tools: Option<&ToolSet>) -> Result<(), ApiError> {
    match (structure, tools) {
        (Some(structure), Some(tools)) if tools.choice != ToolChoice::None => {
            let field = structure.field.clone();
            let message = format!(
                "`{field}` cannot be combined with `tools`, unless `tool_choice` is \"none\""
            );
            Err(ApiError::invalid(field, "unsupported_value", message))
        }
        _ => Ok(()),
    }
}

/// The conversation of a request.
pub fn messages(fields: &mut Fields) -> Result<Vec<Turn>, ApiError> {
    let Some(list) = fields.array("messages", MAX_MESSAGES)? else {
        return Err(fields::missing("messages"));
    };
    if list.is_empty() {
        return Err(ApiError::invalid(
            "messages",
            "invalid_value",
            "`messages` is empty; send at least one message",
        ));
    }
    list.into_iter()
        .enumerate()
        .map(|(index, value)| message(&format!("messages[{index}]"), value))
        .collect()
}

fn message(path: &str, value: Value) -> Result<Turn, ApiError> {
    let mut fields = Fields::at(path, value)?;
    let role = role(&fields.path("role"), fields.required_string("role")?)?;
    let mut turn =
        Turn { role, content: None, tool_calls: Vec::new(), tool_call_id: None, name: None };
    match turn.role.as_str() {
        "assistant" => turn.tool_calls = tools::tool_calls(&mut fields)?,
        "tool" => {
            turn.tool_call_id = Some(fields.required_string("tool_call_id")?);
            turn.name = fields.string("name")?;
        }
        _ => {}
    }
    turn.content = content(&mut fields, turn.tool_calls.is_empty())?;
    // What OpenAI's clients send back of an earlier answer is empty; anything else would have to be honoured.
    fields.unsupported(&[
        "name",
        "tool_calls",
        "function_call",
        "audio",
        "refusal",
        "annotations",
        "tool_call_id",
    ])?;
    fields.finish()?;
    Ok(turn)
}

/// `developer` is OpenAI's newer name of `system`; templates know the older one.
fn role(path: &str, role: String) -> Result<String, ApiError> {
    match role.as_str() {
        "system" | "user" | "assistant" | "tool" => Ok(role),
        "developer" => Ok("system".to_owned()),
        other => Err(fields::unsupported_value(
            path,
            &format!("{other:?}"),
            "system, developer, user, assistant and tool",
        )),
    }
}

/// A string, or parts of type `text`, which are joined by line breaks. Beside calls there may be none.
fn content(fields: &mut Fields, required: bool) -> Result<Option<String>, ApiError> {
    let path = fields.path("content");
    let value = match fields.take("content") {
        None if required => return Err(fields::missing(&path)),
        None => return Ok(None),
        Some(value) => value,
    };
    match value {
        Value::String(text) => Ok(Some(text)),
        Value::Array(parts) if parts.len() > MAX_PARTS => {
            Err(fields::too_many(&path, parts.len(), MAX_PARTS))
        }
        Value::Array(parts) => {
            let parts = parts.into_iter().enumerate();
            let texts = parts.map(|(index, part)| text_part(&format!("{path}[{index}]"), part));
            Ok(Some(texts.collect::<Result<Vec<_>, _>>()?.join("\n")))
        }
        other => Err(fields::wrong_type(&path, "a string or a list of parts", &other)),
    }
}

fn text_part(path: &str, part: Value) -> Result<String, ApiError> {
    let mut fields = Fields::at(path, part)?;
    let kind = fields.required_string("type")?;
    if kind != "text" {
        return Err(fields::unsupported_value(
            &fields.path("type"),
            &format!("{kind:?}"),
            "only \"text\"",
        ));
    }
    let text = fields.required_string("text")?;
    fields.finish()?;
    Ok(text)
}

fn logprobs(fields: &mut Fields) -> Result<Option<usize>, ApiError> {
    let wanted = fields.boolean("logprobs")?.unwrap_or(false);
    let top = fields.integer("top_logprobs", 0..=MAX_TOP_LOGPROBS)?;
    match (wanted, top) {
        (false, Some(_)) => {
            let message = "`top_logprobs` is only allowed when `logprobs` is true";
            Err(ApiError::invalid("top_logprobs", "invalid_value", message))
        }
        (false, None) => Ok(None),
        (true, top) => Ok(Some(top.unwrap_or(0) as usize)),
    }
}

/// Fields of which one value is what this server does anyway; others are refused.
fn neutral_values(fields: &mut Fields) -> Result<(), ApiError> {
    only(fields, "modalities", &[serde_json::json!(["text"])])?;
    only(fields, "service_tier", &["auto".into(), "default".into()])
}

fn only(fields: &mut Fields, name: &str, neutral: &[Value]) -> Result<(), ApiError> {
    match fields.take(name) {
        Some(value) if !neutral.contains(&value) => {
            let supported: Vec<String> = neutral.iter().map(Value::to_string).collect();
            let path = fields.path(name);
            Err(fields::unsupported_value(
                &path,
                &value.to_string(),
                &format!("only {}", supported.join(" and ")),
            ))
        }
        _ => Ok(()),
    }
}
