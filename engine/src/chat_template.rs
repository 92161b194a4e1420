//! (signatures; bodies follow)

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant` or what the template knows.
    pub role: String,
    /// The text.
    pub content: String,
}

/// Why a chat template gives no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model file's chat template failed: {reason}")]
pub struct TemplateError {
    /// What went wrong.
    pub reason: String,
}

/// A chat template from a model file.
#[derive(Debug)]
pub struct ChatTemplate {}

impl ChatTemplate {
    /// Renders the conversation to a prompt.
    pub fn render(&self, _messages: &[ChatMessage], _add_generation_prompt: bool) -> Result<String, TemplateError> {
        Err(TemplateError { reason: "not written yet".into() })
    }
}
