//! Which sequences of a step get a draft, and of how many tokens. The scheduler's, and `realm run`'s for its one
//! sequence.
//!
//! Drafts take what the step's token budget leaves after every decode and prefill, so nobody waits for room because of
//! them; how many of those pay is [`plan`]'s to say.

use std::time::{Duration, Instant};

use realm_engine::{
    engine::TokenId,
    speculation::{
        DraftModel, DraftRequest, DraftSource, Guess, MAX_DRAFT, SequenceDrafts, StepCosts,
        StepRoom, plan,
    },
};

/// Errors of the draft model after which it is not asked again.
const MAX_DRAFT_MODEL_ERRORS: usize = 3;

/// The guessed tokens that one sequence takes into a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) source: DraftSource,
    pub(crate) tokens: Vec<TokenId>,
}

/// A sequence that decodes in the next step.
#[derive(Debug)]
pub(crate) struct Decoding<'s> {
    /// Names the sequence to the draft model.
    pub(crate) key: u64,
    pub(crate) drafts: &'s mut SequenceDrafts,
    /// Tokens that it may guess: less than what it may still produce, and no more than its context holds.
    pub(crate) most: usize,
}

/// The next step without drafts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Narrow {
    /// Its tokens.
    pub(crate) tokens: usize,
    /// Tokens that the budget leaves.
    pub(crate) spare: usize,
    /// Whether several tenants are in it.
    pub(crate) shared: bool,
}

/// Decides on drafts, and learns.
#[derive(Debug)]
pub(crate) struct Speculator {
    /// Longest draft; 0 is off.
    most: usize,
    costs: StepCosts,
    draft_model_errors: usize,
}

impl Speculator {
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.min(MAX_DRAFT), costs: StepCosts::new(), draft_model_errors: 0 }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.most == 0
    }

    /// Notes what a step of decoding sequences took; others say nothing about the cost of a guess.
    pub(crate) fn observe(&mut self, rows: usize, took: Duration) {
        self.costs.observe(rows, took.as_secs_f64());
    }

    /// A draft for each sequence, or none.
    pub(crate) fn draft(
        &mut self,
        sequences: &mut [Decoding<'_>],
        step: Narrow,
        model: Option<&mut DraftModel>,
    ) -> Vec<Option<Draft>> {
        let model = model.filter(|_| self.draft_model_errors < MAX_DRAFT_MODEL_ERRORS);
        let with_model = model.is_some();
        let guess = |sequence: &Decoding<'_>| {
            sequence.drafts.guess(sequence.most.min(self.most), with_model)
        };
        let guesses: Vec<Option<Guess>> = sequences.iter().map(guess).collect();
        let offers: Vec<_> = guesses.iter().flatten().map(|guess| guess.offer).collect();
        let room = StepRoom {
            rows: step.tokens,
            spare: step.spare,
            shared: step.shared,
            round_seconds: self.costs.round_seconds(),
        };
        let mut counts = plan(&self.costs, room, &offers).into_iter();
        let planned: Vec<Option<(Guess, usize)>> = guesses
            .into_iter()
            .map(|guess| guess.and_then(|guess| Some((guess, counts.next()?))))
            .collect();
        let mut by_model = model.map(|model| self.ask(model, sequences, &planned));
        let drafts = sequences.iter_mut().zip(planned).enumerate().map(|(index, (at, planned))| {
            let (guess, count) = planned?;
            let tokens = match (guess.source, &mut by_model) {
                (DraftSource::Model, Some(by_model)) => std::mem::take(&mut by_model[index]),
                _ => at.drafts.tokens(&guess, count),
            };
            if count == 0 {
                at.drafts.pass();
            }
            (!tokens.is_empty()).then_some(Draft { source: guess.source, tokens })
        });
        drafts.collect()
    }

    /// The draft model's guesses, by index of the sequence.
    fn ask(
        &mut self,
        model: &mut DraftModel,
        sequences: &[Decoding<'_>],
        planned: &[Option<(Guess, usize)>],
    ) -> Vec<Vec<TokenId>> {
        let mut drafts = vec![Vec::new(); sequences.len()];
        let wanted = |(index, planned): (usize, &Option<(Guess, usize)>)| match planned {
            Some((guess, count)) if guess.source == DraftSource::Model && *count > 0 => {
                let Decoding { key, drafts, .. } = &sequences[index];
                Some((index, DraftRequest { key: *key, text: drafts.text(), count: *count }))
            }
            _ => None,
        };
        let (indices, requests): (Vec<usize>, Vec<DraftRequest<'_>>) =
            planned.iter().enumerate().filter_map(wanted).unzip();
        if requests.is_empty() {
            return drafts;
        }
        let caught_up = model.catch_up(&requests);
        let started = Instant::now();
        match caught_up.and_then(|()| model.draft(&requests)) {
            Ok(made) => {
                let rounds = made.iter().map(Vec::len).max().unwrap_or(0);
                self.costs.observe_rounds(rounds, started.elapsed().as_secs_f64());
                for (index, tokens) in indices.into_iter().zip(made) {
                    drafts[index] = tokens;
                }
            }
            Err(error) => {
                self.draft_model_errors += 1;
                model.forget_all();
                tracing::warn!(%error, "the draft model failed; sequences go on without its drafts");
            }
        }
        drafts
    }
}
