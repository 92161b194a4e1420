//! A prompt that comes back in front of its answer: its text, and the texts and places of its tokens.

use realm_engine::{
    engine::TokenId,
    tokenizer::{StreamDecoder, Tokenizer},
};

use crate::api::completion_request::Prompt;

/// What comes back of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// Its text: the client's own, or that of its tokens.
    pub text: String,
    /// Characters of the text.
    pub chars: usize,
    /// Its tokens.
    pub tokens: Vec<EchoToken>,
}

/// A token of a prompt that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EchoToken {
    /// Its text; bytes that are no whole character become U+FFFD.
    pub text: String,
    /// Characters of the prompt before it.
    pub offset: usize,
}

impl Echo {
    /// Of a prompt that has these tokens.
    pub fn new(prompt: &Prompt, tokens: &[TokenId], tokenizer: &Tokenizer) -> Self {
        let (text, added) = match prompt {
            Prompt::Text(text) => (text.clone(), usize::from(tokenizer.add_bos())),
            Prompt::Tokens(_) => (tokenizer.decode(tokens), 0),
        };
        Self { chars: text.chars().count(), text, tokens: echo_tokens(tokens, added, tokenizer) }
    }
}

/// The first `added` tokens stand before the text and are no part of it.
fn echo_tokens(tokens: &[TokenId], added: usize, tokenizer: &Tokenizer) -> Vec<EchoToken> {
    let mut decoder = StreamDecoder::new();
    let mut chars = 0;
    let token = |(place, &token): (usize, &TokenId)| {
        let bytes = tokenizer.token_bytes(token).unwrap_or_default();
        let entry = EchoToken { text: String::from_utf8_lossy(bytes).into_owned(), offset: chars };
        if place >= added {
            chars += decoder.push(tokenizer, token).chars().count();
        }
        entry
    };
    tokens.iter().enumerate().map(token).collect()
}
