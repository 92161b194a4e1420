//! A compiled grammar beside one sequence.

use std::fmt;

use llguidance::{Matcher, api::StopReason};
use realm_engine::engine::TokenId;

use super::{
    error::ConstraintError,
    mask::Mask,
    trigger::{Pulled, Trigger},
};

/// Tokens that are refused at one place before the constraint gives up: those that would begin a call with text that no
/// call has.
const MAX_REFUSED: usize = 256;

/// A compiled grammar beside one sequence: says which tokens may come next and goes along with the one that does.
/// A clone is another sequence at the same place.
#[derive(Clone)]
pub struct Constraint {
    matcher: Matcher,
    /// What the constraint waits for; it holds when there is nothing left to wait for.
    trigger: Option<Trigger>,
    /// Tokens that pull the trigger and do not fit the grammar, at this place.
    refused: Vec<TokenId>,
    /// It has waited, or still does.
    waited: bool,
    /// The control tokens that are shown as text.
    shown: Vec<TokenId>,
}

impl Constraint {
    pub(super) fn new(matcher: Matcher, trigger: Option<Trigger>) -> Self {
        let waited = trigger.is_some();
        Self { matcher, trigger, refused: Vec::new(), waited, shown: Vec::new() }
    }

    /// Has these control tokens shown as text, because they say what the text is.
    #[must_use]
    pub fn showing(mut self, tokens: Vec<TokenId>) -> Self {
        self.shown = tokens;
        self
    }

    /// The tokens that may come next; `None` when any may.
    pub fn allowed(&mut self) -> Result<Option<Mask>, ConstraintError> {
        if self.trigger.is_some() {
            return match self.refused.as_slice() {
                [] => Ok(None),
                refused => Ok(Some(Mask::all_but(self.vocab_size()?, refused))),
            };
        }
        let bits = self.matcher.compute_mask().map_err(|error| self.failure(&error))?;
        Ok(Some(Mask::new(bits)))
    }

    /// Goes on with a token that [`Self::allowed`] allows. `false` when it does not fit after all: another is to be
    /// chosen, and this one is not allowed any more.
    pub fn accept(&mut self, token: TokenId) -> Result<bool, ConstraintError> {
        let fits = match self.trigger.take() {
            None => self.consume(&[token]).map(|()| true),
            Some(trigger) => self.wait_on(trigger, token),
        }?;
        if fits {
            self.refused.clear();
        } else {
            self.refused.push(token);
            if self.refused.len() > MAX_REFUSED {
                return Err(ConstraintError::NothingAllowed);
            }
        }
        Ok(fits)
    }

    /// The tokens that can only come next, if any. They count as accepted.
    pub fn forced(&mut self) -> Result<Vec<TokenId>, ConstraintError> {
        if self.trigger.is_some() || self.matcher.is_stopped() {
            return Ok(Vec::new());
        }
        let tokens = self.matcher.compute_ff_tokens();
        if !tokens.is_empty() {
            self.consume(&tokens)?;
        }
        Ok(tokens)
    }

    /// How many of these tokens may come next, one after the other: the part of a guess that can be right.
    pub fn possible(&mut self, guess: &[TokenId]) -> usize {
        if self.trigger.is_some() {
            return guess.len();
        }
        self.matcher.validate_tokens(guess).unwrap_or(0)
    }

    /// Whether the text is complete and nothing may follow.
    pub fn is_over(&self) -> bool {
        self.trigger.is_none() && self.matcher.is_stopped() && !self.matcher.is_error()
    }

    /// Whether a control token is shown as text.
    pub fn shows(&self, token: TokenId) -> bool {
        self.shown.contains(&token)
    }

    /// Whether the grammar has read all of the text, from its first byte.
    pub fn reads_all(&self) -> bool {
        !self.waited
    }

    fn wait_on(&mut self, mut trigger: Trigger, token: TokenId) -> Result<bool, ConstraintError> {
        let environment = self.matcher.tok_env().map_err(|error| self.failure(&error))?;
        let trie = environment.tok_trie();
        let special = trie.is_special_token(token);
        let bytes = if special { &[] } else { trie.token(token) };
        let first = match trigger.pulled_by(token, bytes) {
            Pulled::No => {
                trigger.pass(token, bytes);
                self.trigger = Some(trigger);
                return Ok(true);
            }
            Pulled::Tokens(tokens) => tokens,
            Pulled::Bytes(bytes) => trie.greedy_tokenize(&bytes),
        };
        let possible =
            self.matcher.validate_tokens(&first).map_err(|error| self.failure(&error))?;
        if possible < first.len() {
            self.trigger = Some(trigger);
            return Ok(false);
        }
        self.consume(&first).map(|()| true)
    }

    fn consume(&mut self, tokens: &[TokenId]) -> Result<(), ConstraintError> {
        self.matcher.consume_tokens(tokens).map_err(|error| self.failure(&error))
    }

    fn vocab_size(&self) -> Result<usize, ConstraintError> {
        let environment = self.matcher.tok_env().map_err(|error| self.failure(&error))?;
        Ok(environment.tok_trie().vocab_size())
    }

    fn failure(&self, error: &anyhow::Error) -> ConstraintError {
        tracing::debug!(%error, "a constraint cannot go on");
        match self.matcher.stop_reason() {
            StopReason::LexerTooComplex => ConstraintError::TooComplex("lexer".to_owned()),
            StopReason::ParserTooComplex => ConstraintError::TooComplex("parser".to_owned()),
            _ => ConstraintError::NothingAllowed,
        }
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Constraint")
            .field("waits", &self.trigger.is_some())
            .field("over", &self.is_over())
            .finish_non_exhaustive()
    }
}
