//! WordPiece (`tokenizer.ggml.model` = `bert`): words cleaned as BERT cleans them, then the longest tokens from the left.
//!
//! Model files spell the first token of a word with U+2581 in front and those inside a word without `##`.
//!
//! Characters are classed by today's Unicode tables. The `tokenizers` library has tables of Unicode 7 for this, so text with
//! punctuation or marks added since (U+061D, for example) can have more or fewer unknown tokens there.

use std::collections::HashMap;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use super::{
    error::TokenizerError,
    spec::TokenizerSpec,
    token::{TokenId, TokenKind},
    vocabulary::{BOUNDARY, Vocabulary},
};

/// Longer words are unknown, as in BERT; bounds the work for each word.
const MAX_WORD_CHARS: usize = 100;

/// Characters that are dropped: control characters and the like, but not tabs and line ends.
const DROPPED: &str = r"[\x00\u{FFFD}[\p{Cc}\p{Cf}\p{Co}--[\t\n\r]]]+";
/// Chinese characters, each a word of its own. The ranges are those of the reference implementation.
const HAN: &str = r"[\u{4E00}-\u{9FFF}\u{3400}-\u{4DBF}\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{F900}-\u{FAFF}\u{2F800}-\u{2FA1F}]";
/// Accents of characters that have been taken apart.
const ACCENTS: &str = r"\p{Mn}+";
/// A punctuation mark, or a word without any.
const WORD: &str = r"[[:punct:]\p{P}]|[^\s[:punct:]\p{P}]+";

/// The text encoder of WordPiece.
#[derive(Debug)]
pub(super) struct WordPiece {
    /// By text, as the file spells it.
    pieces: HashMap<String, TokenId>,
    longest: usize,
    unknown: TokenId,
    lowercase: bool,
    strip_accents: bool,
    expressions: Expressions,
}

#[derive(Debug)]
struct Expressions {
    dropped: Regex,
    han: Regex,
    accents: Regex,
    word: Regex,
}

impl WordPiece {
    pub(super) fn new(
        spec: &TokenizerSpec,
        vocabulary: &Vocabulary,
    ) -> Result<Self, TokenizerError> {
        let mut pieces = HashMap::with_capacity(spec.tokens.len());
        for (id, text) in (0..).zip(&spec.tokens) {
            if vocabulary.kind(id) == Some(TokenKind::Normal) {
                pieces.entry(text.clone()).or_insert(id);
            }
        }
        let by_text = || spec.tokens.iter().zip(0..).find(|(text, _)| *text == "[UNK]");
        let unknown = spec.roles.unknown.or_else(|| by_text().map(|(_, id)| id));
        let lowercase = spec.lowercase.unwrap_or(true);
        Ok(Self {
            longest: pieces.keys().map(String::len).max().unwrap_or_default(),
            pieces,
            unknown: unknown
                .ok_or_else(|| TokenizerError::NoUnknown { model: spec.model.clone() })?,
            lowercase,
            strip_accents: spec.strip_accents.unwrap_or(lowercase),
            expressions: Expressions::new()?,
        })
    }

    /// Adds the tokens of a text without special tokens.
    pub(super) fn encode(&self, text: &str, tokens: &mut Vec<TokenId>) {
        let text = self.clean(text);
        let mut spelled = String::new();
        for word in self.expressions.word.find_iter(&text) {
            spelled.clear();
            spelled.push(BOUNDARY);
            spelled.push_str(word.as_str());
            let before = tokens.len();
            let short = word.as_str().chars().nth(MAX_WORD_CHARS).is_none();
            if !(short && self.push_word(&spelled, tokens)) {
                tokens.truncate(before);
                tokens.push(self.unknown);
            }
        }
    }

    /// The text without control characters, with Chinese characters apart, and without case and accents if the model
    /// knows none.
    fn clean(&self, text: &str) -> String {
        let text = self.expressions.dropped.replace_all(text, "");
        let text = self.expressions.han.replace_all(&text, " $0 ");
        let mut text = text.into_owned();
        if self.strip_accents {
            let apart: String = text.nfd().collect();
            text = self.expressions.accents.replace_all(&apart, "").into_owned();
        }
        if self.lowercase {
            text = text.chars().flat_map(char::to_lowercase).collect();
        }
        text
    }

    /// Adds the tokens of a word; `false` when one of its parts has none.
    fn push_word(&self, word: &str, tokens: &mut Vec<TokenId>) -> bool {
        let mut rest = word;
        while !rest.is_empty() {
            let most = rest.len().min(self.longest);
            let found = (1..=most)
                .rev()
                .find_map(|end| Some((end, *self.pieces.get(rest.get(..end)?)?)))
                .filter(|(end, _)| word.len() > rest.len() || *end > BOUNDARY.len_utf8());
            let Some((end, token)) = found else { return false };
            tokens.push(token);
            rest = &rest[end..];
        }
        true
    }
}

impl Expressions {
    fn new() -> Result<Self, TokenizerError> {
        let compile = |pattern| {
            Regex::new(pattern)
                .map_err(|error| TokenizerError::PreTokenizer { reason: error.to_string() })
        };
        Ok(Self {
            dropped: compile(DROPPED)?,
            han: compile(HAN)?,
            accents: compile(ACCENTS)?,
            word: compile(WORD)?,
        })
    }
}
