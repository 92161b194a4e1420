//! What steers a sequence beside its sampling parameters: which tokens may come next, which ones are certain, and what the
//! tenant's program makes of the candidates.
//!
//! The one place where a choice of token meets a constraint or a program: [`Steering::choose`] for a row of logits,
//! [`Steering::take_answer`] for a row that the program was asked about, [`Steering::next_certain`] for what needs no row,
//! [`Steering::is_over`] for the end.

use std::{collections::VecDeque, time::Duration};

use realm_engine::{engine::TokenId, sampler::Sampler};
use realm_sandbox::answer::Decision;

use crate::{
    constraint::{Constraint, ConstraintError},
    program::LogitHook,
    scheduler::{
        asking::{Asking, Place},
        event::{Failure, FinishReason},
    },
};

/// What steers one sequence.
#[derive(Debug)]
pub(super) struct Steering {
    constraint: Option<Constraint>,
    /// Tokens that are certain to come next and have not been said yet; the constraint has gone along with them.
    certain: VecDeque<TokenId>,
    /// The tokens that a constraint makes certain before the first row have been asked for.
    begun: bool,
    /// The program that has a say in each token.
    asking: Option<Asking>,
}

/// What became of a row of logits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// This token.
    Token(TokenId),
    /// The program has been asked; its answer is to be taken later.
    Asked,
}

/// What a program's answer makes of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// This token.
    Token(TokenId),
    /// The end.
    End(FinishReason),
}

impl Steering {
    /// Steers by a constraint and a program, as far as there are any.
    pub(super) fn new(constraint: Option<Constraint>, hook: Option<LogitHook>) -> Self {
        let asking = hook.map(Asking::new);
        Self { constraint, certain: VecDeque::new(), begun: false, asking }
    }

    /// Chooses the next token: the one that is certain, or else one from a row of logits, which a program may have a say in.
    pub(super) fn choose(
        &mut self,
        sampler: &mut Sampler,
        logits: &[f32],
        place: Place,
    ) -> Result<Chosen, ConstraintError> {
        self.begin()?;
        if let Some(token) = self.certain.pop_front() {
            return Ok(Chosen::Token(token));
        }
        match self.constraint.as_mut().map(Constraint::allowed).transpose()?.flatten() {
            None => sampler.weigh(logits),
            Some(mask) => sampler.weigh_among(logits, mask.words()),
        }
        if let Some(asking) = &mut self.asking {
            asking.ask(sampler, place);
            return Ok(Chosen::Asked);
        }
        self.draw(sampler).map(Chosen::Token)
    }

    /// What the program says of the row that it was asked about, when it has answered.
    pub(super) fn take_answer(&mut self, sampler: &mut Sampler) -> Option<Result<Answer, Failure>> {
        let asking = self.asking.as_mut()?;
        let decision = asking.take()?;
        let heeded = decision.map_err(Failure::Program);
        Some(heeded.and_then(|decision| self.heed(decision, sampler)))
    }

    fn heed(&mut self, decision: Decision, sampler: &mut Sampler) -> Result<Answer, Failure> {
        match decision {
            Decision::Stop(why) => return Ok(Answer::End(why.into())),
            Decision::Force(tokens) => return Ok(Answer::Token(self.force(&tokens)?)),
            narrower => {
                if let Some(asking) = &self.asking {
                    asking.narrow(sampler, narrower);
                }
            }
        }
        Ok(Answer::Token(self.draw(sampler)?))
    }

    /// Takes tokens as certain, if they may come next. Returns the first.
    fn force(&mut self, tokens: &[TokenId]) -> Result<TokenId, ConstraintError> {
        for &token in tokens {
            if let Some(constraint) = &mut self.constraint
                && (constraint.possible(&[token]) == 0 || !constraint.accept(token)?)
            {
                return Err(ConstraintError::NothingAllowed);
            }
            self.certain.push_back(token);
        }
        if let Some(constraint) = &mut self.constraint {
            self.certain.extend(constraint.forced()?);
        }
        self.certain.pop_front().ok_or(ConstraintError::NothingAllowed)
    }

    /// Draws from the weighed row what the constraint goes along with.
    fn draw(&mut self, sampler: &mut Sampler) -> Result<TokenId, ConstraintError> {
        let Some(constraint) = &mut self.constraint else { return Ok(sampler.draw()) };
        loop {
            let token = sampler.draw();
            // The sampler has to give something, also when a bias bans all that is allowed.
            if !sampler.may_draw(token) {
                return Err(ConstraintError::NothingAllowed);
            }
            if constraint.accept(token)? {
                self.certain.extend(constraint.forced()?);
                return Ok(token);
            }
            sampler.exclude(token);
        }
    }

    /// Whether the program has been asked and its answer was not taken yet.
    pub(super) fn is_asking(&self) -> bool {
        self.asking.as_ref().is_some_and(Asking::is_open)
    }

    /// Whether a program has a say in each token.
    pub(super) fn asks(&self) -> bool {
        self.asking.is_some()
    }

    /// Whether the answer that is awaited has come.
    pub(super) fn has_answer(&self) -> bool {
        self.asking.as_ref().is_some_and(Asking::has_answer)
    }

    /// Whether an answer is awaited of a program that took no longer than `patience` the last time.
    pub(super) fn is_asking_a_quick_one(&self, patience: Duration) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.is_quick(patience))
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
