//! A tokenizer made of a recording, for programs that import one: it knows the recording's words and bytes. The numbers of
//! tokens that it makes of other texts are not the model's.

use std::collections::HashMap;

use realm_sandbox::host::Tokenizer;

use super::recording::Recording;

/// Tokens of the vocabulary that bounds what hooks may name, unless the recording holds a higher one.
const VOCABULARY: u32 = 49_152;

/// Words of a recording, and one token for each byte that is in none.
#[derive(Debug)]
pub(super) struct RecordedTokenizer {
    texts: HashMap<u32, String>,
    ids: HashMap<String, u32>,
    longest: usize,
    vocabulary: u32,
}

impl RecordedTokenizer {
    /// The tokenizer that this recording tells of.
    pub(super) fn of(recording: &Recording) -> Self {
        let tokens = || recording.tokens.iter().filter(|token| !token.text.is_empty());
        let highest = recording.tokens.iter().map(|token| token.id).max().unwrap_or_default();
        Self {
            texts: tokens().map(|token| (token.id, token.text.clone())).collect(),
            ids: tokens().map(|token| (token.text.clone(), token.id)).collect(),
            longest: tokens().map(|token| token.text.len()).max().unwrap_or_default(),
            vocabulary: VOCABULARY.max(highest.saturating_add(1)),
        }
    }

    /// The longest word that the text begins with, and its length.
    fn word(&self, text: &str) -> Option<(u32, usize)> {
        let most = self.longest.min(text.len());
        (1..=most).rev().find_map(|end| Some((*self.ids.get(text.get(..end)?)?, end)))
    }
}

impl Tokenizer for RecordedTokenizer {
    fn encode(&self, mut text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        while let Some(first) = text.chars().next() {
            let end = if let Some((id, end)) = self.word(text) {
                tokens.push(id);
                end
            } else {
                let end = first.len_utf8();
                tokens.extend(text.bytes().take(end).map(u32::from));
                end
            };
            text = &text[end..];
        }
        tokens
    }

    fn decode(&self, tokens: &[u32]) -> Result<String, String> {
        let mut bytes = Vec::new();
        for token in tokens {
            match (self.texts.get(token), u8::try_from(*token)) {
                (Some(text), _) => bytes.extend_from_slice(text.as_bytes()),
                (None, Ok(byte)) => bytes.push(byte),
                (None, Err(_)) => return Err(format!("the recording has no token {token}")),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn vocabulary_size(&self) -> u32 {
        self.vocabulary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_recording_are_its_tokens_and_others_are_bytes() {
        let recording = Recording::parse("{\"id\":7000,\"text\":\"the sea\"}\n".as_bytes(), "r");
        let tokenizer = RecordedTokenizer::of(&recording.unwrap());
        let tokens = tokenizer.encode("the sea, é");
        assert_eq!(tokens, [7000, 44, 32, 195, 169]);
        assert_eq!(tokenizer.decode(&tokens).unwrap(), "the sea, é");
        assert!(tokenizer.decode(&[8000]).is_err());
        assert_eq!(tokenizer.vocabulary_size(), VOCABULARY);
    }
}
