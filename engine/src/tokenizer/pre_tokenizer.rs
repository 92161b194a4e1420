//! Splits text into the pieces that merges may not cross, by the rule that the model file names.
//!
//! The published rules use look-ahead (`\s+(?!\S)`: leave the last space to the next word). Here each rule is a plain
//! regular expression, which runs in linear time on any text, and the look-ahead is one step of code behind it.

use regex::Regex;

use super::error::TokenizerError;

/// GPT-2: contractions, words, numbers and punctuation with one leading space, runs of white space.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+";
/// Llama 3: like GPT-2, but numbers in groups of three and line ends kept with what is before them.
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
/// Qwen 2: like Llama 3 with single digits.
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
const DIGIT: &str = r"\p{N}";
const NUMBER: &str = r"\p{N}+";
const THREE_DIGITS: &str = r"[0-9][0-9][0-9]";
const PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";

/// Names that a file may give, and what they mean.
const RULES: [(&[&str], Rule); 5] = [
    (&["default"], Rule::new(&[PUNCTUATION, GPT2, NUMBER, THREE_DIGITS])),
    (&["gpt-2", "mpt", "olmo"], Rule::new(&[GPT2])),
    (&["smollm", "starcoder", "refact"], Rule::new(&[DIGIT, GPT2])),
    (
        &["llama-bpe", "llama3", "llama-v3"],
        Rule { keeps_line_ends: true, whole_words: true, adds_bos: true, ..Rule::new(&[LLAMA3]) },
    ),
    (&["qwen2", "stablelm2"], Rule { keeps_line_ends: true, ..Rule::new(&[QWEN2]) }),
];

#[derive(Clone, Copy)]
struct Rule {
    /// Applied one after the other, each to the pieces of the one before.
    stages: &'static [&'static str],
    keeps_line_ends: bool,
    whole_words: bool,
    adds_bos: bool,
}

impl Rule {
    const fn new(stages: &'static [&'static str]) -> Self {
        Self { stages, keeps_line_ends: false, whole_words: false, adds_bos: false }
    }
}

/// A rule of the file, ready to run.
#[derive(Debug)]
pub(super) struct PreTokenizer {
    stages: Vec<Regex>,
    /// A run of white space that ends in a line end is a piece of its own, without look-ahead.
    keeps_line_ends: bool,
    /// A piece that is a token as a whole is taken before any merge.
    pub(super) whole_words: bool,
    /// Whether prompts start with BOS when the file does not say.
    pub(super) adds_bos: bool,
}

impl PreTokenizer {
    /// The rule with this name in the file.
    pub(super) fn named(name: &str) -> Result<Self, TokenizerError> {
        let (_, rule) = RULES.iter().find(|(names, _)| names.contains(&name)).ok_or_else(|| {
            TokenizerError::UnsupportedPreTokenizer {
                found: name.to_owned(),
                supported: supported(),
            }
        })?;
        let stages =
            rule.stages.iter().map(|pattern| Regex::new(pattern)).collect::<Result<_, _>>();
        Ok(Self {
            stages: stages
                .map_err(|error| TokenizerError::PreTokenizer { reason: error.to_string() })?,
            keeps_line_ends: rule.keeps_line_ends,
            whole_words: rule.whole_words,
            adds_bos: rule.adds_bos,
        })
    }

    /// The pieces of `text`, in order; joined they are `text`.
    pub(super) fn split<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut pieces = vec![text];
        for stage in &self.stages {
            let mut finer = Vec::with_capacity(pieces.len());
            for piece in pieces {
                self.split_once(stage, piece, &mut finer);
            }
            pieces = finer;
        }
        pieces
    }

    /// Splits by one expression; what lies between its matches is a piece too.
    fn split_once<'t>(&self, stage: &Regex, text: &'t str, pieces: &mut Vec<&'t str>) {
        let mut start = 0;
        while start < text.len() {
            let Some(found) = stage.find_at(text, start) else {
                pieces.push(&text[start..]);
                return;
            };
            if found.start() > start {
                pieces.push(&text[start..found.start()]);
            }
            let end = found.end() - self.left_to_next(found.as_str(), found.end() == text.len());
            pieces.push(&text[found.start()..end]);
            start = end;
        }
    }

    /// Bytes at the end of a match that belong to the next piece: `\s+(?!\S)` in front of `\s+`.
    fn left_to_next(&self, found: &str, at_end: bool) -> usize {
        let mut characters = found.chars();
        let Some(last) = characters.next_back() else { return 0 };
        let keeps = at_end || (self.keeps_line_ends && matches!(last, '\r' | '\n'));
        let is_run = last.is_whitespace()
            && found.len() > last.len_utf8()
            && characters.all(char::is_whitespace);
        if is_run && !keeps { last.len_utf8() } else { 0 }
    }
}

/// The names that are known, for messages.
fn supported() -> String {
    RULES.iter().flat_map(|(names, _)| names.iter().copied()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &str, text: &str, pieces: &[&str]) {
        assert_eq!(PreTokenizer::named(rule).unwrap().split(text), pieces, "{rule}: {text:?}");
    }

    #[test]
    fn rules_split_as_published() {
        check("gpt-2", "Hello world's  end", &["Hello", " world", "'s", " ", " end"]);
        check("gpt-2", "a \n\nb", &["a", " \n", "\n", "b"]);
        check("gpt-2", "x = 1234;  ", &["x", " =", " 1234", ";", "  "]);
        check("smollm", "in 2024!", &["in", " ", "2", "0", "2", "4", "!"]);
        check("smollm", "a\u{a0}\u{a0}é", &["a", "\u{a0}", "\u{a0}", "é"]);
        check("llama-bpe", "a  \n  b 12345", &["a", "  \n", " ", " b", " ", "123", "45"]);
        check("llama-bpe", "WE'LL go.\n\n", &["WE", "'LL", " go", ".\n\n"]);
        check("qwen2", "9 12\tx", &["9", " ", "1", "2", "\tx"]);
        check("default", "a+b 12345", &["a", "+", "b", " ", "123", "45"]);
        check("gpt-2", "", &[""; 0]);
    }

    #[test]
    fn an_unknown_rule_is_refused_with_the_known_ones() {
        let error = PreTokenizer::named("tekken").unwrap_err().to_string();
        assert!(error.contains("`tekken`") && error.contains("llama-bpe"), "{error}");
    }

    #[test]
    fn long_runs_take_linear_time() {
        for text in [" ".repeat(1 << 20), "a".repeat(1 << 20), "\n x".repeat(1 << 18)] {
            let rule = PreTokenizer::named("llama-bpe").unwrap();
            assert_eq!(rule.split(&text).concat(), text);
        }
    }
}
