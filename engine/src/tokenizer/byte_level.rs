//! Byte-level BPE (`tokenizer.ggml.model` = `gpt2`): pieces by rule, bytes as symbols, merges by rank.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{
    error::TokenizerError, joiner::join_all, merges::Merges, pre_tokenizer::PreTokenizer,
    spec::TokenizerSpec, symbols::Symbols, token::TokenId, vocabulary::Vocabulary,
};

/// The text encoder of byte-level BPE.
#[derive(Debug)]
pub(super) struct ByteLevel {
    symbols: Symbols,
    merges: Merges,
    splitter: PreTokenizer,
}

impl ByteLevel {
    pub(super) fn new(
        spec: &TokenizerSpec,
        vocabulary: &Vocabulary,
    ) -> Result<Self, TokenizerError> {
        let splitter = PreTokenizer::named(spec.pre.as_deref().unwrap_or("default"))?;
        let mut symbols = Symbols::new(&spec.tokens, vocabulary);
        let merges = symbols.merges(&spec.merges)?;
        Ok(Self { symbols, merges, splitter })
    }

    /// Whether prompts start with BOS when the file does not say.
    pub(super) fn adds_bos(&self) -> bool {
        self.splitter.adds_bos
    }

    /// Adds the tokens of a text without special tokens.
    pub(super) fn encode(&self, text: &str, tokens: &mut Vec<TokenId>) {
        let text = if self.splitter.composes { composed(text) } else { Cow::Borrowed(text) };
        let mut parts = Vec::new();
        for piece in self.splitter.split(&text) {
            if self.splitter.whole_words
                && let Some(token) = self.symbols.whole(piece)
            {
                tokens.push(token);
                continue;
            }
            parts.clear();
            self.symbols.split(piece, &mut parts);
            join_all(&self.merges, &mut parts);
            self.symbols.push_tokens(&parts, tokens);
        }
    }
}

/// The text in Unicode's normal form C.
fn composed(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        IsNormalized::No | IsNormalized::Maybe => Cow::Owned(text.nfc().collect()),
    }
}
