//! When a constraint that waits takes hold: a marker in the text, a control token, or the way the answer opens.

use realm_engine::engine::TokenId;

/// What a constrained part of an answer begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// This text, anywhere.
    Text(String),
    /// This token, anywhere.
    Token(TokenId),
    /// The answer itself, when it begins like this; white space does not count.
    Opening(String),
}

/// Lets an answer be free until it writes one of the markers. The grammar holds from the marker on, and begins with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    markers: Vec<Marker>,
    /// The end of the text so far, as long as it may be the beginning of a marker.
    tail: Vec<u8>,
    /// The text so far without white space, while it may still be an opening.
    opening: Option<Vec<u8>>,
    /// Tokens since the answer began, while it may still be an opening.
    opened: Vec<TokenId>,
}

/// What a token does to a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pulled {
    /// Nothing yet.
    No,
    /// The grammar begins with these bytes.
    Bytes(Vec<u8>),
    /// The grammar begins with these tokens.
    Tokens(Vec<TokenId>),
}

/// Tokens in which an answer must show how it opens.
const MAX_OPENING_TOKENS: usize = 64;

impl Trigger {
    /// A trigger that any of the markers pulls.
    pub fn new(markers: Vec<Marker>) -> Self {
        let opens = markers.iter().any(|marker| matches!(marker, Marker::Opening(_)));
        Self { markers, tail: Vec::new(), opening: opens.then(Vec::new), opened: Vec::new() }
    }

    /// What a token of these bytes would do.
    pub(super) fn pulled_by(&self, token: TokenId, bytes: &[u8]) -> Pulled {
        if self.markers.contains(&Marker::Token(token)) {
            return Pulled::Tokens(vec![token]);
        }
        if self.opens_with(bytes) {
            let tokens = self.opened.iter().copied().chain([token]);
            return Pulled::Tokens(tokens.collect());
        }
        let text = [&self.tail, bytes].concat();
        let start = self.texts().filter_map(|marker| find(&text, marker)).min();
        start.map_or(Pulled::No, |start| Pulled::Bytes(text[start..].to_vec()))
    }

    /// Notes a token that pulled nothing.
    pub(super) fn pass(&mut self, token: TokenId, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let longest = self.texts().map(<[u8]>::len).max().unwrap_or(0);
        let excess = self.tail.len().saturating_sub(longest.saturating_sub(1));
        self.tail.drain(..excess);
        if let Some(opening) = &mut self.opening {
            opening.extend(bytes.iter().filter(|byte| !byte.is_ascii_whitespace()));
            self.opened.push(token);
            let text = opening.as_slice();
            let may_open = self.markers.iter().any(
                |marker| matches!(marker, Marker::Opening(marker) if marker.as_bytes().starts_with(text)),
            );
            if !may_open || self.opened.len() > MAX_OPENING_TOKENS {
                self.opening = None;
                self.opened.clear();
            }
        }
    }

    fn opens_with(&self, bytes: &[u8]) -> bool {
        let Some(opening) = &self.opening else { return false };
        let mut text = opening.clone();
        text.extend(bytes.iter().filter(|byte| !byte.is_ascii_whitespace()));
        self.markers.iter().any(
            |marker| matches!(marker, Marker::Opening(marker) if text.starts_with(marker.as_bytes())),
        )
    }

    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.markers.iter().filter_map(|marker| match marker {
            Marker::Text(text) => Some(text.as_bytes()),
            _ => None,
        })
    }
}

fn find(text: &[u8], marker: &[u8]) -> Option<usize> {
    text.windows(marker.len().max(1)).position(|window| window == marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first token that pulls the trigger, and how.
    fn run(markers: &[Marker], pieces: &[&str]) -> Option<(usize, Pulled)> {
        let mut trigger = Trigger::new(markers.to_vec());
        for (index, piece) in pieces.iter().enumerate() {
            let token = index as TokenId;
            match trigger.pulled_by(token, piece.as_bytes()) {
                Pulled::No => trigger.pass(token, piece.as_bytes()),
                pulled => return Some((index, pulled)),
            }
        }
        None
    }

    #[test]
    fn markers_are_found_wherever_tokens_are_cut() {
        let call = [Marker::Text("<tool_call>".into())];
        let pulled = |index, bytes: &str| Some((index, Pulled::Bytes(bytes.into())));
        assert_eq!(run(&call, &["Let me see. <tool", "_call", ">"]), pulled(2, "<tool_call>"));
        assert_eq!(run(&call, &["a<", "tool_call>\n{"]), pulled(1, "<tool_call>\n{"));
        assert_eq!(run(&call, &["<<tool_call>"]), pulled(0, "<tool_call>"));
        assert_eq!(run(&call, &["<tool_", "calls>", " <tool-call>"]), None);
    }

    #[test]
    fn tokens_and_openings_are_markers_too() {
        let tokens = |index, tokens: &[TokenId]| Some((index, Pulled::Tokens(tokens.to_vec())));
        assert_eq!(run(&[Marker::Token(1)], &["a", "[TOOL_CALLS]"]), tokens(1, &[1]));
        let opening = [Marker::Opening("{\"name\":".into())];
        assert_eq!(run(&opening, &[" {", " \"name", "\"", " : \"f"]), tokens(3, &[0, 1, 2, 3]));
        assert_eq!(run(&opening, &["so {", "\"name", "\":"]), None);
        assert_eq!(run(&opening, &["{", "\"nam", "es\":"]), None);
    }
}
