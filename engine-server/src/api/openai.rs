//! The answers on the wire, as OpenAI's clients read them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    api::echo::Echo,
    scheduler::event::{Alternative, FinishReason, ScoredToken, TokenLogprob},
};

/// Token counts of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the prompts.
    pub prompt_tokens: usize,
    /// Tokens of all answers, each with the one that ended it.
    pub completion_tokens: usize,
    /// Both.
    pub total_tokens: usize,
    /// More about the prompts.
    pub prompt_tokens_details: PromptTokensDetails,
}

/// More about the tokens of the prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PromptTokensDetails {
    /// Tokens that needed no work because the caller had sent the same beginning before.
    pub cached_tokens: usize,
}

impl Usage {
    /// Adds up.
    pub fn new(prompt_tokens: usize, cached_tokens: usize, completion_tokens: usize) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptTokensDetails { cached_tokens },
        }
    }
}

/// What all documents of one answer share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Identity of the answer.
    pub id: String,
    /// Kind of the document.
    pub object: &'static str,
    /// When the answer began, in seconds since 1970.
    pub created: u64,
    /// Served name of the model.
    pub model: String,
    /// Identifies the model file and the server: same fingerprint and seed, same answer.
    pub system_fingerprint: String,
}

/// A whole answer, or one event of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Document<'a, C> {
    /// What all documents of the answer share.
    #[serde(flatten)]
    pub head: &'a Head,
    /// The answers, or pieces of them.
    pub choices: Vec<C>,
    /// Token counts. On a stream that asked for them the field is there and null until the last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// An answer of a chat.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatChoice {
    /// Which answer.
    pub index: usize,
    /// The answer.
    pub message: ChatMessage,
    /// Probabilities, when asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended.
    pub finish_reason: &'static str,
}

/// The assistant's message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// Always `assistant`.
    pub role: &'static str,
    /// The text; null when there are only calls.
    pub content: Option<String>,
    /// Always null.
    pub refusal: Option<String>,
    /// Calls of tools, when there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    /// Its name in the conversation.
    pub id: String,
    /// Always `function`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What is called.
    pub function: FunctionCall,
}

/// What is called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FunctionCall {
    /// The function; on a stream only with the call's first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its arguments, as JSON text; on a stream a piece of it.
    pub arguments: String,
}

/// A piece of a call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolCallDelta {
    /// Which call of the answer.
    pub index: usize,
    /// Its name in the conversation, with its first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `function`, with its first piece.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// What is new.
    pub function: FunctionCall,
}

/// A piece of an answer of a chat.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatChunkChoice {
    /// Which answer.
    pub index: usize,
    /// What is new.
    pub delta: ChatDelta,
    /// Probabilities, when asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended, on its last piece.
    pub finish_reason: Option<&'static str>,
}

/// What is new in a piece.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ChatDelta {
    /// `assistant`, on the first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Pieces of calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallDelta>,
}

/// Probabilities of a chat.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatLogprobs {
    /// One entry per token.
    pub content: Vec<ChatTokenLogprob>,
    /// Always null.
    pub refusal: Option<()>,
}

/// Probability of a token of a chat.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatTokenLogprob {
    /// The chosen token.
    #[serde(flatten)]
    pub chosen: ChatAlternative,
    /// The most likely ones.
    pub top_logprobs: Vec<ChatAlternative>,
}

/// A token and its probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatAlternative {
    /// Its text; bytes that are no whole character become U+FFFD.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An answer of a completion, or a piece of one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompletionChoice {
    /// Which answer.
    pub index: usize,
    /// The text.
    pub text: String,
    /// Probabilities, when asked for.
    pub logprobs: Option<CompletionLogprobs>,
    /// Why it ended; null before its last piece.
    pub finish_reason: Option<&'static str>,
}

/// Probabilities of a completion: four lists, one entry per token.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CompletionLogprobs {
    /// Characters of the answer before the token; of the prompt, too, when that comes back with it.
    pub text_offset: Vec<usize>,
    /// Natural logarithm of its probability; null for the first token of a prompt, which has nothing before it.
    pub token_logprobs: Vec<Option<f32>>,
    /// Its text.
    pub tokens: Vec<String>,
    /// The most likely tokens, and the chosen one; null like the probability.
    pub top_logprobs: Vec<Option<BTreeMap<String, f32>>>,
}

/// The list of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelList {
    /// Always `list`.
    pub object: &'static str,
    /// The models.
    pub data: Vec<ModelDocument>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelDocument {
    /// Name to ask for it.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// When this server began, in seconds since 1970.
    pub created: u64,
    /// Always `realm`.
    pub owned_by: &'static str,
}

/// The reason's name on the wire.
pub fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::Filtered => "content_filter",
    }
}

impl ChatLogprobs {
    /// From the tokens of a text.
    pub fn new(tokens: &[TokenLogprob]) -> Self {
        let entry = |token: &TokenLogprob| ChatTokenLogprob {
            chosen: chat_alternative(&token.chosen),
            top_logprobs: token.top.iter().map(chat_alternative).collect(),
        };
        Self { content: tokens.iter().map(entry).collect(), refusal: None }
    }
}

impl CompletionLogprobs {
    /// From the tokens of a text that has so many characters before it.
    pub fn new(tokens: &[TokenLogprob], shift: usize) -> Self {
        let mut lists = Self::default();
        for TokenLogprob { chosen, top, text_offset } in tokens {
            lists.push(text(chosen), shift + text_offset, Some((chosen, top)));
        }
        lists
    }

    /// From the tokens of a prompt, all but the first of which were scored.
    pub fn of_prompt(echo: &Echo, scored: &[ScoredToken]) -> Self {
        let mut lists = Self::default();
        let scores = scored.iter().map(|ScoredToken { chosen, top }| Some((chosen, &top[..])));
        for (token, score) in echo.tokens.iter().zip(std::iter::once(None).chain(scores)) {
            lists.push(token.text.clone(), token.offset, score);
        }
        lists
    }

    /// These tokens, then those.
    #[must_use]
    pub fn followed_by(mut self, mut after: Self) -> Self {
        self.text_offset.append(&mut after.text_offset);
        self.token_logprobs.append(&mut after.token_logprobs);
        self.tokens.append(&mut after.tokens);
        self.top_logprobs.append(&mut after.top_logprobs);
        self
    }

    fn push(
        &mut self,
        token: String,
        offset: usize,
        score: Option<(&Alternative, &[Alternative])>,
    ) {
        self.tokens.push(token);
        self.text_offset.push(offset);
        self.token_logprobs.push(score.map(|(chosen, _)| finite(chosen.logprob)));
        self.top_logprobs.push(score.map(|(chosen, top)| {
            top.iter().chain([chosen]).map(|entry| (text(entry), finite(entry.logprob))).collect()
        }));
    }
}

fn chat_alternative(alternative: &Alternative) -> ChatAlternative {
    ChatAlternative {
        token: text(alternative),
        logprob: finite(alternative.logprob),
        bytes: alternative.bytes.clone(),
    }
}

fn text(alternative: &Alternative) -> String {
    String::from_utf8_lossy(&alternative.bytes).into_owned()
}

/// JSON has no infinity; OpenAI writes -9999 for "impossible".
fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() { logprob } else { -9999.0 }
}
