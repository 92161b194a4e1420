//! What speculation keeps for one sequence: its text, and how often its drafts are right. Says what draft could be had
//! and notes what became of it.

use super::{
    acceptance::{Acceptance, DraftSource},
    plan::Offer,
    prompt_lookup::{Match, PromptLookup},
};
use crate::tokenizer::TokenId;

/// The text of one sequence, for guessing how it goes on.
#[derive(Debug, Clone, Default)]
pub struct SequenceDrafts {
    lookup: PromptLookup,
    acceptance: Acceptance,
}

/// A draft that can be had.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// Where it would come from.
    pub source: DraftSource,
    /// What it is worth, for [`plan`](super::plan()).
    pub offer: Offer,
    found: Option<Match>,
}

impl SequenceDrafts {
    /// A sequence without text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds tokens of the prompt or of the answer.
    pub fn extend(&mut self, tokens: &[TokenId]) {
        self.lookup.extend(tokens);
    }

    /// All tokens so far.
    pub fn text(&self) -> &[TokenId] {
        self.lookup.tokens()
    }

    /// The better of the drafts that can be had: from the text, or from a draft model if there is one.
    pub fn guess(&self, most: usize, draft_model: bool) -> Option<Guess> {
        if most == 0 {
            return None;
        }
        let found = self.lookup.find();
        let by_lookup = found.map(|found| DraftSource::Lookup { length: found.length });
        let by_model = draft_model.then_some(DraftSource::Model);
        let probability = |source: &DraftSource| self.acceptance.probability(*source);
        // On a tie the text, which costs nothing.
        let source = match (by_lookup, by_model) {
            (Some(lookup), Some(model)) if probability(&model) > probability(&lookup) => model,
            (Some(source), _) | (None, Some(source)) => source,
            (None, None) => return None,
        };
        let offer = Offer {
            probability: probability(&source),
            most,
            by_model: source == DraftSource::Model,
            due: self.acceptance.is_due(),
        };
        Some(Guess { source, offer, found })
    }

    /// The tokens of a guess from the text; none for one that a draft model makes.
    pub fn tokens(&self, guess: &Guess, count: usize) -> Vec<TokenId> {
        match (guess.source, guess.found) {
            (DraftSource::Lookup { .. }, Some(found)) => self.lookup.draft(found, count),
            _ => Vec::new(),
        }
    }

    /// Notes that a draft could be had and was not made.
    pub fn pass(&mut self) {
        self.acceptance.pass();
    }

    /// Notes what became of a draft.
    pub fn record(&mut self, source: DraftSource, drafted: usize, accepted: usize) {
        self.acceptance.record(source, drafted, accepted);
    }
}
