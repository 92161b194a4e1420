//! Finds matches in text that arrives in pieces. A place where a match may have begun waits for more text, at most the
//! window; a longer match is not found.

use std::sync::Arc;

use regex_automata::{
    Anchored,
    hybrid::{LazyStateID, dfa::Cache},
    util::{alphabet::Unit, start},
};

use super::patterns::Patterns;

/// Longest match that is surely found, in bytes, and most text that waits.
pub const WINDOW_BYTES: usize = 512;

/// Where a scan stands.
#[derive(Debug)]
pub(super) struct Scanner {
    patterns: Arc<Patterns>,
    cache: Cache,
}

/// What begins at a place of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// No match.
    Clear,
    /// A match of that pattern, up to there.
    Match { pattern: usize, end: usize },
    /// A match that more text would complete or lengthen.
    Open,
}

impl Scanner {
    pub(super) fn new(patterns: Arc<Patterns>) -> Self {
        let cache = patterns.dfa().create_cache();
        Self { patterns, cache }
    }

    /// What begins at `at`; `whole` says that no text follows. A place that has waited for the window no longer waits.
    pub(super) fn look(&mut self, text: &str, at: usize, whole: bool) -> Place {
        let (found, open) = self.search(text.as_bytes(), at, whole);
        if open && !whole && text.len() - at < WINDOW_BYTES {
            return Place::Open;
        }
        found.map_or(Place::Clear, |(pattern, end)| Place::Match { pattern, end })
    }

    /// The best match from `at`, and whether the automaton still lived at the text's end. Text that the automaton gives
    /// up on (a word boundary beside a letter beyond ASCII) holds no match.
    fn search(&mut self, text: &[u8], at: usize, whole: bool) -> (Option<(usize, usize)>, bool) {
        let dfa = self.patterns.dfa();
        let behind = at.checked_sub(1).map(|before| text[before]);
        let start = start::Config::new().anchored(Anchored::Yes).look_behind(behind);
        let Ok(mut state) = dfa.start_state(&mut self.cache, &start) else { return (None, false) };
        let mut found = None;
        let end = text.len().min(at + WINDOW_BYTES);
        for (offset, byte) in text[at..end].iter().enumerate() {
            let Ok(next) = dfa.next_state(&mut self.cache, state, *byte) else {
                return (found, false);
            };
            state = next;
            if state.is_match() {
                let pattern = dfa.match_pattern(&self.cache, state, 0).as_usize();
                // The automaton is one byte behind.
                found = Some((pattern, at + offset));
            }
            if state.is_dead() || state.is_quit() {
                return (found, false);
            }
        }
        if end == text.len() && whole {
            return (self.at_end(state, end).or(found), false);
        }
        let settled = state.is_match() && self.is_last(state);
        (found, !settled)
    }

    /// Whether nothing that follows can make the match longer.
    fn is_last(&mut self, state: LazyStateID) -> bool {
        let dfa = self.patterns.dfa();
        let mut classes = dfa.byte_classes().representatives(0..=u8::MAX).filter_map(Unit::as_u8);
        classes.all(|byte| {
            dfa.next_state(&mut self.cache, state, byte).is_ok_and(|next| next.is_dead())
        })
    }

    fn at_end(&mut self, state: LazyStateID, end: usize) -> Option<(usize, usize)> {
        let dfa = self.patterns.dfa();
        let state = dfa.next_eoi_state(&mut self.cache, state).ok()?;
        state.is_match().then(|| (dfa.match_pattern(&self.cache, state, 0).as_usize(), end))
    }
}
