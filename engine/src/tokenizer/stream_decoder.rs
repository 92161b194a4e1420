//! Text from a stream of tokens: holds back bytes until they are whole characters.

use super::{
    codec::Tokenizer,
    token::{TokenId, TokenKind},
};

/// Turns a stream of tokens into text, whole characters only.
///
/// Bytes that can never become a character are U+FFFD at once; bytes that may still become one wait, at most three. Where
/// a tokenizer puts a space in front of every text, the space in front of the first piece is not shown.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    pending: Vec<u8>,
    /// A text is under way: its first piece has been seen.
    inside: bool,
}

impl StreamDecoder {
    /// A decoder at the beginning of a text.
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder for what follows these tokens. Unless the last of them is a control token, a text is under way, and the
    /// space in front of the first piece is shown.
    pub fn after(tokenizer: &Tokenizer, tokens: &[TokenId]) -> Self {
        let last = tokens.last().and_then(|&token| tokenizer.kind(token));
        let inside = last.is_some_and(|kind| kind != TokenKind::Control);
        Self { pending: Vec::new(), inside }
    }

    /// Adds a token; returns the characters that are now whole. Ids outside the vocabulary add nothing.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: TokenId) -> String {
        let (bytes, inside) = tokenizer.text_bytes(id, self.inside);
        self.inside = inside;
        self.push_bytes(bytes)
    }

    /// Adds raw bytes; returns the characters that are now whole.
    pub fn push_bytes(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut taken = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            taken += chunk.valid().len();
            if may_continue(chunk.invalid()) && taken + chunk.invalid().len() == self.pending.len()
            {
                break;
            }
            if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                taken += chunk.invalid().len();
            }
        }
        self.pending.drain(..taken);
        text
    }

    /// Ends the stream: what is left, with U+FFFD for an incomplete character.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}

/// Whether bytes that are not a character may be the beginning of one.
fn may_continue(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => false,
        Err(error) => error.error_len().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let mut decoder = StreamDecoder::new();
        let mut texts: Vec<String> = pieces.iter().map(|bytes| decoder.push_bytes(bytes)).collect();
        texts.push(decoder.finish());
        assert_eq!(texts, expected);
    }

    #[test]
    fn characters_come_out_whole() {
        check(&[b"a", b"b"], &["a", "b", ""]);
        check(&[&[0xF0, 0x9F], &[0x98], &[0x80, b'!']], &["", "", "😀!", ""]);
        check(&[&[0xE2, 0x82]], &["", "\u{FFFD}"]);
        check(&[&[0xFF, b'x']], &["\u{FFFD}x", ""]);
        check(&[&[0xE2], b"x"], &["", "\u{FFFD}x", ""]);
        check(&[&[b'a', 0xE2, 0x82], &[0xAC]], &["a", "€", ""]);
    }

    #[test]
    fn no_byte_sequence_is_held_back_for_long() {
        let mut decoder = StreamDecoder::new();
        for byte in (0..=u8::MAX).chain([0xE2, 0x82, 0xF0, 0x9F, 0x98]) {
            decoder.push_bytes(&[byte]);
            assert!(decoder.pending.len() <= 3);
        }
    }
}
