//! Triggers compiled into one lazy automaton. Its size has a bound, and a search takes no time that its text does not
//! explain: there is no backtracking.

use std::borrow::Cow;

use regex_automata::{
    MatchKind,
    hybrid::dfa::{Config, DFA},
    nfa::thompson,
    util::syntax,
};
use thiserror::Error;

/// Bytes of a trigger.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// Bytes of all triggers' automaton.
const MAX_NFA_BYTES: usize = 1 << 20;
/// Bytes that one stream's part of the automaton may take, beyond what it needs at least.
const CACHE_BYTES: usize = 256 << 10;
/// Depth of a regular expression.
const MAX_NESTING: u32 = 32;

/// Compiled triggers.
#[derive(Debug)]
pub struct Patterns {
    dfa: DFA,
}

/// Why triggers cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PatternsError(pub String);

impl Patterns {
    /// Compiles patterns; the flag says whether one is a regular expression.
    pub fn new<'a>(patterns: impl Iterator<Item = (&'a str, bool)>) -> Result<Self, PatternsError> {
        let patterns = patterns
            .map(|(pattern, is_regex)| source(pattern, is_regex))
            .collect::<Result<Vec<_>, _>>()?;
        let dfa = DFA::builder()
            .configure(
                Config::new()
                    .match_kind(MatchKind::LeftmostFirst)
                    .unicode_word_boundary(true)
                    .cache_capacity(CACHE_BYTES)
                    .skip_cache_capacity_check(true),
            )
            .thompson(thompson::Config::new().nfa_size_limit(Some(MAX_NFA_BYTES)))
            .syntax(syntax::Config::new().nest_limit(MAX_NESTING))
            .build_many(&patterns)
            .map_err(|error| PatternsError(unusable(&error)))?;
        let patterns = Self { dfa };
        match patterns.matches_nothing() {
            Some(index) => Err(PatternsError(format!("pattern {index} matches the empty text"))),
            None => Ok(patterns),
        }
    }

    pub(super) fn dfa(&self) -> &DFA {
        &self.dfa
    }

    /// The pattern that matches the empty text, if one does: it would match everywhere.
    fn matches_nothing(&self) -> Option<usize> {
        let nfa = self.dfa.get_nfa();
        nfa.patterns()
            .find(|pattern| {
                nfa.start_pattern(*pattern).is_some_and(|start| reaches_match(nfa, start))
            })
            .map(|pattern| pattern.as_usize())
    }
}

/// A literal is matched as it stands.
fn source(pattern: &str, is_regex: bool) -> Result<Cow<'_, str>, PatternsError> {
    if pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES {
        let bytes = pattern.len();
        let message = format!("a pattern has {bytes} bytes; it may have 1 to {MAX_PATTERN_BYTES}");
        return Err(PatternsError(message));
    }
    Ok(if is_regex { Cow::Borrowed(pattern) } else { Cow::Owned(escaped(pattern)) })
}

/// Puts a backslash before what has a meaning in a regular expression.
fn escaped(literal: &str) -> String {
    literal.chars().fold(String::with_capacity(literal.len()), |mut escaped, character| {
        if r"\.+*?()|[]{}^$#&-~".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
        escaped
    })
}

fn unusable(error: &regex_automata::hybrid::BuildError) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    format!(
        "the patterns cannot be used: {error}{}",
        cause.map(|cause| format!(": {cause}")).unwrap_or_default()
    )
}

/// Whether a match can be reached without a character.
fn reaches_match(nfa: &thompson::NFA, start: regex_automata::util::primitives::StateID) -> bool {
    let mut seen = vec![false; nfa.states().len()];
    let mut left = vec![start];
    while let Some(id) = left.pop() {
        if std::mem::replace(&mut seen[id.as_usize()], true) {
            continue;
        }
        match nfa.state(id) {
            thompson::State::Match { .. } => return true,
            thompson::State::Look { next, .. } | thompson::State::Capture { next, .. } => {
                left.push(*next);
            }
            thompson::State::Union { alternates } => left.extend(alternates.iter().copied()),
            thompson::State::BinaryUnion { alt1, alt2 } => left.extend([*alt1, *alt2]),
            _ => {}
        }
    }
    false
}
