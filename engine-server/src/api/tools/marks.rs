//! The marks of a syntax in a model's vocabulary.

use realm_engine::{
    engine::{Model, TokenId},
    tokenizer::SpecialTokens,
};

use crate::constraint::Marker;

/// The marks of a syntax in a model's vocabulary: control tokens, or plain text.
pub(super) struct Marks<'m> {
    model: &'m Model,
}

impl<'m> Marks<'m> {
    pub(super) fn new(model: &'m Model) -> Self {
        Self { model }
    }

    /// The control token that a text is, if it is one.
    pub(super) fn control(&self, text: &str) -> Option<TokenId> {
        let tokenizer = self.model.tokenizer();
        match tokenizer.encode(text, SpecialTokens::Parse).as_slice() {
            &[token] if tokenizer.is_special(token) => Some(token),
            _ => None,
        }
    }

    pub(super) fn marker(&self, text: &str) -> Marker {
        self.control(text).map_or_else(|| Marker::Text(text.to_owned()), Marker::Token)
    }

    /// As a Lark grammar writes it.
    pub(super) fn lark(&self, text: &str) -> String {
        match self.control(text) {
            Some(token) => format!("<[{token}]>"),
            None => literal(text),
        }
    }
}

/// A text as a grammar writes it.
pub(super) fn literal(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}
