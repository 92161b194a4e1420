//! What a chat template is given: the turns of a conversation, with calls of tools and what came of them.

use minijinja::value::{Serde, Value};
use serde::Serialize;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant` or what the template knows.
    pub role: String,
    /// The text.
    pub content: String,
}

/// One turn of a conversation in which tools are called.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// `system`, `user`, `assistant`, `tool` or what the template knows.
    pub role: String,
    /// The text; there may be none beside calls.
    pub content: Option<String>,
    /// Calls that the assistant made.
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool answers.
    pub tool_call_id: Option<String>,
    /// The tool that answers.
    pub name: Option<String>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Its name in the conversation.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments.
    pub arguments: Data,
}

/// Structured data for a template.
#[derive(Debug, Clone, PartialEq)]
pub struct Data(pub(super) Value);

impl Data {
    /// Takes over what serializes.
    pub fn new(data: &impl Serialize) -> Self {
        Self(Value::from(Serde(data)))
    }
}

impl From<ChatMessage> for Turn {
    fn from(message: ChatMessage) -> Self {
        let ChatMessage { role, content } = message;
        Self {
            role,
            content: Some(content),
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
        }
    }
}

impl Turn {
    /// As templates for `transformers` expect it: members that are not there are undefined, not none.
    pub(super) fn value(&self) -> Value {
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let mut members = vec![
            ("role", Value::from(self.role.as_str())),
            ("content", text(&self.content).unwrap_or_else(|| Value::from(()))),
        ];
        if !self.tool_calls.is_empty() {
            let calls: Vec<Value> = self.tool_calls.iter().map(ToolCall::value).collect();
            members.push(("tool_calls", Value::from(calls)));
        }
        members.extend(text(&self.tool_call_id).map(|id| ("tool_call_id", id)));
        members.extend(text(&self.name).map(|name| ("name", name)));
        Value::from_pairs(members)
    }
}

impl ToolCall {
    fn value(&self) -> Value {
        let function = Value::from_pairs([
            ("name", Value::from(self.name.as_str())),
            ("arguments", self.arguments.0.clone()),
        ]);
        Value::from_pairs([
            ("id", Value::from(self.id.as_str())),
            ("type", Value::from("function")),
            ("function", function),
        ])
    }
}
