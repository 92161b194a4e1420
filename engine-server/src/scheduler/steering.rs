//! What steers a sequence beside its sampling parameters: which tokens may come next, and which ones are certain.
//!
//! The one place where a choice of token meets a constraint. Whatever else is to have a say in it (a tenant's program with
//! masks, biases or an early end) joins here: [`Steering::choose`] for a row of logits, [`Steering::next_certain`] for what
//! needs no row, [`Steering::is_over`] for the end.

use std::collections::VecDeque;

use realm_engine::{engine::TokenId, sampler::Sampler};

use crate::constraint::{Constraint, ConstraintError};

/// What steers one sequence.
#[derive(Debug)]
pub(super) struct Steering {
    constraint: Option<Constraint>,
    /// Tokens that are certain to come next and have not been said yet; the constraint has gone along with them.
    certain: VecDeque<TokenId>,
    /// The tokens that a constraint makes certain before the first row have been asked for.
    begun: bool,
}

impl Steering {
    /// Steers by a constraint, or not at all.
    pub(super) fn new(constraint: Option<Constraint>) -> Self {
        Self { constraint, certain: VecDeque::new(), begun: false }
    }

    /// Chooses the next token: the one that is certain, or else one from a row of logits.
    pub(super) fn choose(
        &mut self,
        sampler: &mut Sampler,
        logits: &[f32],
    ) -> Result<TokenId, ConstraintError> {
        self.begin()?;
        if let Some(token) = self.certain.pop_front() {
            return Ok(token);
        }
        let Some(constraint) = &mut self.constraint else { return Ok(sampler.sample(logits)) };
        loop {
            let token = match constraint.allowed()? {
                None => sampler.sample(logits),
                Some(mask) => {
                    let token = sampler.sample_among(logits, mask.words());
                    // The sampler has to give something, also when a bias bans all that is allowed.
                    if !mask.allows(token) {
                        return Err(ConstraintError::NothingAllowed);
                    }
                    token
                }
            };
            if constraint.accept(token)? {
                self.certain.extend(constraint.forced()?);
                return Ok(token);
            }
        }
    }

    /// The next token that is certain, when there is one: it needs no row of logits.
    pub(super) fn next_certain(&mut self) -> Option<TokenId> {
        self.certain.pop_front()
    }

    /// Whether the text is complete with the tokens that have been said.
    pub(super) fn is_over(&self) -> bool {
        self.certain.is_empty() && self.constraint.as_ref().is_some_and(Constraint::is_over)
    }

    /// How many tokens of a guess may be right.
    pub(super) fn possible(&mut self, guess: &[TokenId]) -> usize {
        match &mut self.constraint {
            Some(constraint) if self.certain.is_empty() => constraint.possible(guess),
            Some(_) => {
                guess.iter().zip(&self.certain).take_while(|(one, other)| one == other).count()
            }
            None => guess.len(),
        }
    }

    /// Whether the text is shown as the raw bytes of its tokens: what a grammar has read is what a client reads.
    pub(super) fn shows_raw_bytes(&self) -> bool {
        self.constraint.as_ref().is_some_and(Constraint::reads_all)
    }

    /// Whether a control token is shown as text.
    pub(super) fn shows(&self, token: TokenId) -> bool {
        self.constraint.as_ref().is_some_and(|constraint| constraint.shows(token))
    }

    fn begin(&mut self) -> Result<(), ConstraintError> {
        if let (false, Some(constraint)) = (self.begun, &mut self.constraint) {
            self.certain.extend(constraint.forced()?);
        }
        self.begun = true;
        Ok(())
    }
}
