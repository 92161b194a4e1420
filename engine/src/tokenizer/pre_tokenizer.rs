//! Splits text into the pieces that merges may not cross, by the rule that the model file names.
//!
//! The published rules use look-ahead (`\s+(?!\S)`: leave the last space to the next word). Here each rule is a plain
//! regular expression, which runs in linear time on any text, and the look-ahead is one step of code behind it.

use regex::Regex;

use super::{
    error::TokenizerError,
    pre_tokenizer_rules::{RULES, Rule},
};

/// How an expression ends whose runs of white space leave their last space to the next word.
const RUNS: &str = r"|\s+";

/// A rule of the file, ready to run.
#[derive(Debug)]
pub(super) struct PreTokenizer {
    stages: Vec<Stage>,
    /// See [`Rule::keeps_line_ends`].
    keeps_line_ends: bool,
    /// See [`Rule::whole_words`].
    pub(super) whole_words: bool,
    /// See [`Rule::adds_bos`].
    pub(super) adds_bos: bool,
    /// See [`Rule::composes`].
    pub(super) composes: bool,
}

#[derive(Debug)]
struct Stage {
    expression: Regex,
    /// Runs of white space leave their last space to the next word.
    shares_runs: bool,
}

impl Stage {
    fn new(pattern: &str) -> Result<Self, TokenizerError> {
        let expression = Regex::new(pattern)
            .map_err(|error| TokenizerError::PreTokenizer { reason: error.to_string() })?;
        Ok(Self { expression, shares_runs: pattern.ends_with(RUNS) })
    }
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
        let &Rule { stages, keeps_line_ends, whole_words, adds_bos, composes } = rule;
        let stages = stages.iter().map(|pattern| Stage::new(pattern)).collect::<Result<_, _>>()?;
        Ok(Self { stages, keeps_line_ends, whole_words, adds_bos, composes })
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
    fn split_once<'t>(&self, stage: &Stage, text: &'t str, pieces: &mut Vec<&'t str>) {
        let mut start = 0;
        while start < text.len() {
            let Some(found) = stage.expression.find_at(text, start) else {
                pieces.push(&text[start..]);
                return;
            };
            if found.start() > start {
                pieces.push(&text[start..found.start()]);
            }
            let shared = stage.shares_runs && found.end() < text.len();
            let left = if shared { self.left_to_next(found.as_str()) } else { 0 };
            let end = found.end() - left;
            pieces.push(&text[found.start()..end]);
            start = end;
        }
    }

    /// Bytes at the end of a match that belong to the next piece: `\s+(?!\S)` in front of `\s+`.
    fn left_to_next(&self, found: &str) -> usize {
        let mut characters = found.chars();
        let Some(last) = characters.next_back() else { return 0 };
        let keeps = self.keeps_line_ends && matches!(last, '\r' | '\n');
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
        let error = PreTokenizer::named("poro-chat").unwrap_err().to_string();
        assert!(error.contains("`poro-chat`") && error.contains("llama-bpe"), "{error}");
    }

    #[test]
    fn long_runs_take_linear_time() {
        for text in [" ".repeat(1 << 20), "a".repeat(1 << 20), "\n x".repeat(1 << 18)] {
            let rule = PreTokenizer::named("llama-bpe").unwrap();
            assert_eq!(rule.split(&text).concat(), text);
        }
    }
}
