//! An answer of a model as it came: its tokens and their texts, one JSON object a line. A recording of SmolLM2's tokens is part
//! of this binary.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::file;

/// Bytes of a recording.
const MAX_BYTES: usize = 16 << 20;
/// Tokens of a recording.
const MAX_TOKENS: usize = 65_536;
/// The one that comes with the binary: it has an e-mail address, telephone and card numbers, and JSON.
const BUNDLED: &str = include_str!("recording.jsonl");

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recording {
    pub(super) tokens: Vec<Recorded>,
}

/// One of its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recorded {
    /// Its number in the vocabulary.
    pub(super) id: u32,
    /// The text that came with it; empty where it completes no character.
    pub(super) text: String,
}

impl Recording {
    /// The file's, or the bundled one.
    pub(super) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        match path {
            Some(path) => Self::parse(&file::read(path, MAX_BYTES)?, &path.display().to_string()),
            None => Self::parse(BUNDLED.as_bytes(), "the bundled recording"),
        }
    }

    /// Parses lines; `name` stands in errors.
    pub(super) fn parse(bytes: &[u8], name: &str) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(bytes).with_context(|| format!("{name} is no text"))?;
        let mut tokens = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let token = serde_json::from_str(line).with_context(|| {
                format!(
                    "{name}, line {}: expected a token such as {{\"id\": 42, \"text\": \" sea\"}}",
                    index + 1
                )
            })?;
            tokens.push(token);
            if tokens.len() > MAX_TOKENS {
                bail!("{name} has more than {MAX_TOKENS} tokens; record a shorter answer");
            }
        }
        if tokens.is_empty() {
            bail!("{name} has no token");
        }
        Ok(Self { tokens })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_recording_is_one() {
        let recording = Recording::read(None).unwrap();
        let text: String = recording.tokens.iter().map(|token| token.text.as_str()).collect();
        for part in ["@", "4242 4242 4242 4242", "{\""] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn what_is_no_recording_is_refused_with_its_line() {
        let cases = [
            ("", "no token"),
            ("{\"id\": 1, \"text\": \"a\"}\n\n{\"id\": -1, \"text\": \"a\"}", "line 3"),
            ("{\"id\": 1}", "line 1"),
            ("{\"id\": 1, \"text\": \"a\", \"more\": 0}", "line 1"),
        ];
        for (text, words) in cases {
            let error = Recording::parse(text.as_bytes(), "it").unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let long = "{\"id\":1,\"text\":\"\"}\n".repeat(MAX_TOKENS + 1);
        assert!(Recording::parse(long.as_bytes(), "it").is_err());
        assert!(Recording::parse(&[255], "it").is_err());
    }
}
