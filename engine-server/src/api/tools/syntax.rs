//! How models write calls, told by their chat templates.

/// A way to write calls of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolSyntax {
    /// `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`: Hermes, Qwen 2.5 and 3, and many others.
    Hermes,
    /// `{"name": ..., "parameters": {...}}` as the whole answer, perhaps after `<|python_tag|>`: Llama 3.1 to 3.3.
    Llama,
    /// `[TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]`: Mistral.
    MistralList {
        /// A space before the list.
        spaced: bool,
    },
    /// `[TOOL_CALLS]name[ARGS]{...}`: Mistral since 2025.
    MistralNamed,
}

/// A template's way with tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoTools {
    /// It has no place for tools.
    #[error(
        "the model's chat template has no place for tools; use a model that was trained to call them"
    )]
    Unable,
    /// It has, in a way that this server does not know.
    #[error(
        "the model's chat template writes calls of tools in a way that this server does not know; it knows those of \
         Hermes and Qwen (<tool_call> with JSON), Llama 3 (JSON) and Mistral ([TOOL_CALLS])"
    )]
    Unknown,
}

impl ToolSyntax {
    /// Looks at a template.
    pub fn of(template: &str) -> Result<Self, NoTools> {
        let has = |text: &str| template.contains(text);
        if !has("tools") {
            return Err(NoTools::Unable);
        }
        if has("[TOOL_CALLS]") {
            let spaced = has("[TOOL_CALLS] [");
            return Ok(if has("[ARGS]") {
                Self::MistralNamed
            } else {
                Self::MistralList { spaced }
            });
        }
        if has("<tool_call>") {
            // Qwen3-Coder writes calls as tags inside the same mark.
            return if has("<function=") { Err(NoTools::Unknown) } else { Ok(Self::Hermes) };
        }
        if has("<|python_tag|>") || has("\"parameters\"") {
            return Ok(Self::Llama);
        }
        Err(NoTools::Unknown)
    }

    /// What begins a call anywhere in an answer.
    pub(super) fn markers(self) -> &'static [&'static str] {
        match self {
            Self::Hermes => &["<tool_call>"],
            Self::Llama => &["<|python_tag|>"],
            Self::MistralList { .. } | Self::MistralNamed => &["[TOOL_CALLS]"],
        }
    }

    /// What begins a call that is the whole answer.
    pub(super) fn opening(self) -> Option<&'static str> {
        (self == Self::Llama).then_some("{\"name\":")
    }

    /// What may be a control token of the model.
    pub(super) fn control_texts(self) -> &'static [&'static str] {
        match self {
            Self::Hermes => &["<tool_call>", "</tool_call>"],
            Self::Llama => &["<|python_tag|>"],
            Self::MistralList { .. } | Self::MistralNamed => &["[TOOL_CALLS]", "[ARGS]"],
        }
    }

    /// The member that holds a call's arguments.
    pub(super) fn arguments_member(self) -> &'static str {
        if self == Self::Llama { "parameters" } else { "arguments" }
    }

    /// Whether one answer can have several calls.
    pub(super) fn has_parallel_calls(self) -> bool {
        self != Self::Llama
    }

    /// A name for a call; Mistral's templates want nine letters and digits.
    pub(in crate::api) fn call_id(self) -> String {
        let random = uuid::Uuid::new_v4().simple().to_string();
        match self {
            Self::MistralList { .. } | Self::MistralNamed => random.chars().take(9).collect(),
            Self::Hermes | Self::Llama => format!("call_{}", &random[..24]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_tell_their_syntax() {
        let cases = [
            ("{{ messages }}", Err(NoTools::Unable)),
            ("{% if tools %}<tool_call>", Ok(ToolSyntax::Hermes)),
            ("{% if tools %}<tool_call><function=", Err(NoTools::Unknown)),
            ("{% if tools %}<|python_tag|>", Ok(ToolSyntax::Llama)),
            ("{% if tools %}[TOOL_CALLS] [", Ok(ToolSyntax::MistralList { spaced: true })),
            ("{% if tools %}[TOOL_CALLS][", Ok(ToolSyntax::MistralList { spaced: false })),
            ("{% if tools %}[TOOL_CALLS]name[ARGS]", Ok(ToolSyntax::MistralNamed)),
            ("{% if tools %}<｜tool▁calls▁begin｜>", Err(NoTools::Unknown)),
        ];
        for (template, expected) in cases {
            assert_eq!(ToolSyntax::of(template), expected, "{template}");
        }
    }
}
