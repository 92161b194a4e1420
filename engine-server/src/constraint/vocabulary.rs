//! A model's vocabulary as the grammar compiler needs it: the bytes that each token adds to a text, which tokens are no
//! text, which ones end it, and the tokens of a text that is certain.
//!
//! Tokens that are no text (control tokens, the unknown token, reserved ones, rows of logits without a token) are never
//! allowed by a grammar of text. The bytes are those of the raw token: a space in front of a SentencePiece piece counts,
//! so a constrained sequence shows its tokens' raw bytes, too.

use std::sync::Arc;

use llguidance::toktrie::{INVALID_TOKEN, TokRxInfo, TokTrie, TokenizerEnv};
use realm_engine::{
    engine::{Model, TokenId},
    tokenizer::{SpecialTokens, TokenKind, Tokenizer},
};

/// Longer tokens are left out, never allowed under a constraint; published vocabularies have up to about 130 bytes.
const MAX_TOKEN_BYTES: usize = 512;
/// Stands before a text whose tokens are wanted, for tokenizers that put a space in front of every text.
const FENCE: &str = "\n";

/// A model's vocabulary, indexed by bytes.
pub(super) struct Vocabulary {
    model: Arc<Model>,
    trie: TokTrie,
    /// Every byte has a token of its own, so that every text has tokens.
    spells_all: bool,
}

impl Vocabulary {
    /// Indexes the vocabulary. Panics on vocabularies that the index cannot hold; the caller catches that.
    pub(super) fn new(model: Arc<Model>) -> Self {
        let tokenizer = model.tokenizer();
        let size = model.info().vocab_size;
        let words: Vec<Vec<u8>> = (0..size as TokenId).map(|id| word(tokenizer, id)).collect();
        let ends: Vec<TokenId> =
            (0..size as TokenId).filter(|&id| tokenizer.is_end_of_generation(id)).collect();
        let first = ends.first().copied().unwrap_or(INVALID_TOKEN);
        let mut trie = TokTrie::from(&TokRxInfo::new(size as u32, first), &words);
        if !ends.is_empty() {
            trie = trie.with_eos_tokens(&ends);
        }
        let spells_all = (0..=u8::MAX)
            .all(|byte| trie.token_id_at_bytes(&[byte]).is_some() || never_in_text(byte));
        Self { model, trie, spells_all }
    }
}

/// Bytes that UTF-8 does not have.
fn never_in_text(byte: u8) -> bool {
    matches!(byte, 0xC0 | 0xC1 | 0xF5..)
}

/// What the index holds of a token: its bytes, nothing for reserved ones, and a mark in front of those that are no text.
fn word(tokenizer: &Tokenizer, id: TokenId) -> Vec<u8> {
    let bytes = tokenizer.token_bytes(id).unwrap_or_default();
    if bytes.len() > MAX_TOKEN_BYTES {
        return Vec::new();
    }
    match tokenizer.kind(id) {
        Some(TokenKind::Normal | TokenKind::UserDefined | TokenKind::Byte) => bytes.to_vec(),
        Some(TokenKind::Control | TokenKind::Unknown) => {
            [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat()
        }
        Some(TokenKind::Unused) | None => Vec::new(),
    }
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    /// Whether text that is certain can be written as tokens; else the model spells it token by token.
    fn tokenize_is_canonical(&self) -> bool {
        self.spells_all
    }

    /// The tokens of a text as the model's tokenizer makes them, where those have exactly its bytes; else the longest
    /// tokens that fit.
    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        let text_tokens = |text: &str| {
            tokens_of(self.model.tokenizer(), text)
                .unwrap_or_else(|| self.trie.greedy_tokenize(text.as_bytes()))
        };
        self.trie.tokenize_with_greedy_fallback(bytes, text_tokens)
    }
}

/// The tokens of a text that stands inside another, if the tokenizer has some with just its bytes.
fn tokens_of(tokenizer: &Tokenizer, text: &str) -> Option<Vec<TokenId>> {
    let plain = tokenizer.encode(text, SpecialTokens::AsText);
    if spells(tokenizer, &plain, text.as_bytes()) {
        return Some(plain);
    }
    let fenced = tokenizer.encode(&format!("{FENCE}{text}"), SpecialTokens::AsText);
    (1..=fenced.len())
        .map(|start| &fenced[start..])
        .find(|rest| spells(tokenizer, rest, text.as_bytes()))
        .map(<[TokenId]>::to_vec)
}

fn spells(tokenizer: &Tokenizer, tokens: &[TokenId], text: &[u8]) -> bool {
    let mut left = text;
    for &token in tokens {
        let bytes = tokenizer.token_bytes(token).unwrap_or_default();
        let is_text = !tokenizer.is_special(token);
        match left.strip_prefix(bytes).filter(|_| is_text) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    left.is_empty()
}
