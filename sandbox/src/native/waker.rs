//! Looks for wake triggers in the answer, and says which one matched.

use std::sync::Arc;

use super::{
    patterns::Patterns,
    scanner::{Place, Scanner},
};

/// One stream's triggers.
#[derive(Debug)]
pub struct Waker {
    scanner: Scanner,
    text: String,
    seen: usize,
}

impl Waker {
    /// Triggers of one answer.
    pub fn new(patterns: &Arc<Patterns>) -> Self {
        Self { scanner: Scanner::new(Arc::clone(patterns)), text: String::new(), seen: 0 }
    }

    /// Takes text of the answer; returns the first trigger that matches. `whole` says that no text follows.
    pub fn push(&mut self, text: &str, whole: bool) -> Option<u32> {
        self.text.push_str(text);
        let mut at = self.seen;
        let mut woke = None;
        while let Some(character) = self.text[at..].chars().next() {
            match self.scanner.look(&self.text, at, whole) {
                Place::Clear => at += character.len_utf8(),
                Place::Match { pattern, end } => {
                    woke = woke.or(u32::try_from(pattern).ok());
                    at = end;
                }
                Place::Open => break,
            }
        }
        let kept = self.text[..at].chars().next_back().map_or(0, char::len_utf8);
        self.text.drain(..at - kept);
        self.seen = kept;
        woke
    }

    /// Whether a trigger may have begun in the text seen so far: what is sent now might be part of it.
    pub fn is_open(&self) -> bool {
        self.seen < self.text.len()
    }
}
