//! The symbols that byte-level merges work on: tokens by their text in the byte alphabet, and intermediates of merges
//! that are no token.
//!
//! Only normal and byte tokens can be reached from text; control tokens never, whatever their text is.

use std::collections::HashMap;

use super::{
    byte_alphabet,
    error::TokenizerError,
    joiner::{Part, Symbol},
    merges::Merges,
    token::{TokenId, TokenKind},
    vocabulary::{ByteTokens, Vocabulary},
};

/// Most merges a file may have.
const MAX_MERGES: usize = 1 << 22;

/// Text in the byte alphabet, by symbol and back.
#[derive(Debug)]
pub(super) struct Symbols {
    /// Those past the tokens are intermediates of merges.
    by_text: HashMap<String, Symbol>,
    tokens: usize,
    /// Bytes of the intermediates.
    intermediates: Vec<Vec<u8>>,
    byte_tokens: ByteTokens,
    alphabet: Box<[char; 256]>,
}

impl Symbols {
    pub(super) fn new(tokens: &[String], vocabulary: &Vocabulary) -> Self {
        let mut by_text = HashMap::with_capacity(tokens.len());
        for (id, text) in (0..).zip(tokens) {
            if vocabulary.kind(id) == Some(TokenKind::Normal) {
                by_text.entry(text.clone()).or_insert(id);
            }
        }
        let alphabet = Box::new(byte_alphabet::characters());
        let spelled = vocabulary.byte_tokens();
        let byte_tokens = std::array::from_fn(|byte| {
            let text = alphabet[byte].encode_utf8(&mut [0; 4]).to_owned();
            by_text.get(&text).copied().or(spelled[byte])
        });
        Self {
            by_text,
            tokens: tokens.len(),
            intermediates: Vec::new(),
            byte_tokens: Box::new(byte_tokens),
            alphabet,
        }
    }

    /// The rules of `tokenizer.ggml.merges`; adds the intermediates that they name.
    pub(super) fn merges(&mut self, lines: &[String]) -> Result<Merges, TokenizerError> {
        if lines.is_empty() || lines.len() > MAX_MERGES {
            return Err(TokenizerError::MergeCount { merges: lines.len(), limit: MAX_MERGES });
        }
        let mut merges = Merges::default();
        for (index, line) in lines.iter().enumerate() {
            let parts =
                line.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty());
            let Some((left, right)) = parts.filter(|(_, right)| !right.contains(' ')) else {
                return Err(TokenizerError::BadMerge { index, text: line.clone() });
            };
            let joined = self.symbol(&[left, right].concat());
            merges.push(self.symbol(left), self.symbol(right), joined);
        }
        Ok(merges)
    }

    /// The symbol of a text in the byte alphabet, new when there is none.
    fn symbol(&mut self, text: &str) -> Symbol {
        if let Some(&symbol) = self.by_text.get(text) {
            return symbol;
        }
        let symbol = (self.tokens + self.intermediates.len()) as Symbol;
        self.intermediates.push(byte_alphabet::decode(text));
        self.by_text.insert(text.to_owned(), symbol);
        symbol
    }

    /// The token of a piece as a whole.
    pub(super) fn whole(&self, piece: &str) -> Option<TokenId> {
        let text: String = piece.bytes().map(|byte| self.alphabet[usize::from(byte)]).collect();
        self.by_text.get(&text).copied().filter(|&symbol| (symbol as usize) < self.tokens)
    }

    /// The parts of a piece before any merge. Bytes for which the vocabulary has no symbol are left out, as in the
    /// implementations that models are trained and measured with.
    pub(super) fn split(&self, piece: &str, parts: &mut Vec<Part>) {
        let symbols = piece.bytes().filter_map(|byte| self.byte_tokens[usize::from(byte)]);
        parts.extend(symbols.zip(0..).map(|(symbol, start)| Part {
            symbol,
            start,
            end: start + 1,
        }));
    }

    /// Tokens of merged parts: an intermediate that is no token becomes the tokens of its bytes.
    pub(super) fn push_tokens(&self, parts: &[Part], tokens: &mut Vec<TokenId>) {
        for part in parts {
            match self.intermediates.get((part.symbol as usize).wrapping_sub(self.tokens)) {
                None => tokens.push(part.symbol),
                Some(bytes) => tokens
                    .extend(bytes.iter().filter_map(|&byte| self.byte_tokens[usize::from(byte)])),
            }
        }
    }
}
