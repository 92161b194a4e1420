//! A loaded model with the options to ask it, and the steps from words to tokens that `realm run` needs.

use std::{
    io::{Write, stdout},
    num::NonZeroUsize,
};

use realm_engine::{
    chat_template::ChatMessage,
    engine::Model,
    sampler::SamplerParams,
    tokenizer::{SpecialTokens, TokenId},
};

use super::{exit::Exit, generation::Generator};

/// A model and how to ask it.
pub(super) struct Asking {
    /// The model.
    pub generator: Generator,
    /// How tokens are chosen.
    pub sampling: SamplerParams,
    /// Tokens of an answer at most.
    pub max_tokens: Option<usize>,
    /// Threads in use.
    pub threads: NonZeroUsize,
    /// What the model is told before everything else.
    pub system: Option<String>,
    /// Whether prompts are taken as they are.
    pub raw: bool,
    /// Whether measures go to standard error.
    pub verbose: bool,
}

/// Prints at once: a stream is to be seen while it grows.
pub(super) fn print_piece(piece: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    out.write_all(piece.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// What a conversation begins with.
pub(super) fn opening(system: Option<&str>) -> Vec<ChatMessage> {
    system.into_iter().map(|text| message("system", text)).collect()
}

/// A message.
pub(super) fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage { role: role.to_owned(), content: content.to_owned() }
}

/// The tokens of a conversation, by the model's template.
pub(super) fn chat_tokens(model: &Model, messages: &[ChatMessage]) -> anyhow::Result<Vec<TokenId>> {
    let template = model
        .chat_template()
        .ok_or_else(|| Exit::Usage("the model has no chat template; ask it with --raw".into()))?;
    let text = template.render(messages, true)?;
    Ok(model.tokenizer().encode(&text, SpecialTokens::Parse))
}

/// The tokens of a plain text, after the start token if the model wants one.
pub(super) fn raw_tokens(model: &Model, text: &str) -> Vec<TokenId> {
    let tokenizer = model.tokenizer();
    let start = tokenizer.bos().filter(|_| tokenizer.add_bos());
    start.into_iter().chain(tokenizer.encode(text, SpecialTokens::AsText)).collect()
}
