//! Calls in the history of a conversation, as clients send them back.

use realm_engine::chat_template::{Data, ToolCall};
use serde_json::{Value, json};

use crate::api::{
    error::ApiError,
    fields::{self, Fields},
};

/// Calls of one message, at most.
const MAX_CALLS: usize = 128;

/// Takes the calls of an assistant's message.
pub(in crate::api) fn tool_calls(fields: &mut Fields) -> Result<Vec<ToolCall>, ApiError> {
    let path = fields.path("tool_calls");
    let list = fields.array("tool_calls", MAX_CALLS)?.unwrap_or_default();
    list.into_iter()
        .enumerate()
        .map(|(index, value)| tool_call(&format!("{path}[{index}]"), value))
        .collect()
}

fn tool_call(path: &str, value: Value) -> Result<ToolCall, ApiError> {
    let mut fields = Fields::at(path, value)?;
    let id = fields.required_string("id")?;
    let kind = fields.string("type")?.unwrap_or_else(|| "function".to_owned());
    if kind != "function" {
        let path = fields.path("type");
        return Err(fields::unsupported_value(&path, &format!("{kind:?}"), "only \"function\""));
    }
    // Some clients keep the place that a call had in the stream.
    fields.bookkeeping(&["index"]);
    let Some(mut function) = fields.object("function")? else {
        return Err(fields::missing(&fields.path("function")));
    };
    fields.finish()?;
    let name = function.required_string("name")?;
    let arguments = function.string("arguments")?.unwrap_or_default();
    function.finish()?;
    Ok(ToolCall { id, name, arguments: Data::new(&parsed(arguments)) })
}

/// Templates write arguments as JSON themselves; what is not JSON they get as text.
fn parsed(arguments: String) -> Value {
    if arguments.trim().is_empty() {
        return json!({});
    }
    serde_json::from_str(&arguments).unwrap_or(Value::String(arguments))
}
