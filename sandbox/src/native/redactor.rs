//! Replaces matches in a stream of text. What cannot be part of a match goes on at once.

use std::sync::Arc;

use super::{
    patterns::Patterns,
    scanner::{Place, Scanner},
};

/// Matches, and what stands for them.
#[derive(Debug, Clone)]
pub struct Redact {
    /// What is looked for.
    pub patterns: Arc<Patterns>,
    /// What is sent instead.
    pub text: String,
}

/// One stream's redaction.
#[derive(Debug)]
pub struct Redactor {
    scanner: Scanner,
    text: String,
    /// What was sent, for the look-behind of the next place.
    sent: usize,
    replacement: String,
    count: u64,
}

impl Redactor {
    /// Redaction of one answer.
    pub fn new(redact: &Redact) -> Self {
        Self {
            scanner: Scanner::new(redact.patterns.clone()),
            text: String::new(),
            sent: 0,
            replacement: redact.text.clone(),
            count: 0,
        }
    }

    /// Takes text of the answer; returns what can be sent.
    pub fn push(&mut self, text: &str) -> String {
        self.text.push_str(text);
        self.release(false)
    }

    /// The answer is whole: returns the rest.
    pub fn finish(&mut self) -> String {
        self.release(true)
    }

    /// Matches that were replaced.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn release(&mut self, whole: bool) -> String {
        let mut ready = String::new();
        let mut at = self.sent;
        while let Some(character) = self.text[at..].chars().next() {
            match self.scanner.look(&self.text, at, whole) {
                Place::Clear => {
                    ready.push(character);
                    at += character.len_utf8();
                }
                Place::Match { end, .. } => {
                    ready.push_str(&self.replacement);
                    self.count += 1;
                    at = end;
                }
                Place::Open => break,
            }
        }
        self.forget(at);
        ready
    }

    /// Drops what was sent, but for one character, which tells whether a word begins after it.
    fn forget(&mut self, at: usize) {
        let kept = self.text[..at].chars().next_back().map_or(0, char::len_utf8);
        self.text.drain(..at - kept);
        self.sent = kept;
    }
}
