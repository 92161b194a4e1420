//! How often a sequence's drafts are right, from what became of the earlier ones, and when to try again where they do
//! not pay.

use super::prompt_lookup::{LONGEST_MATCH, SHORTEST_MATCH};

/// Earlier guesses count less by this factor with each new one: about the last fifty matter.
const MEMORY: f64 = 0.98;
/// Guesses that the first impression weighs as much as.
const PRIOR_WEIGHT: f64 = 4.0;
/// First impressions: a longer match is right more often.
const LOOKUP_PRIORS: [f64; LONGEST_MATCH - SHORTEST_MATCH + 1] = [0.3, 0.45, 0.55, 0.65];
const MODEL_PRIOR: f64 = 0.6;
/// Drafts passed over before one is tried with a single token; doubled each time that it fails, up to the second.
const FIRST_RETRY: u32 = 32;
const LAST_RETRY: u32 = 512;

/// Where a draft comes from: drafts of one source are right about as often as each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DraftSource {
    /// A place in the text with so many tokens in common.
    Lookup {
        /// Length of the match.
        length: usize,
    },
    /// A second model.
    Model,
}

#[derive(Debug, Clone, Copy)]
struct Estimate {
    accepted: f64,
    tried: f64,
}

/// How often the drafts of one sequence are right.
#[derive(Debug, Clone)]
pub struct Acceptance {
    lookup: [Estimate; LOOKUP_PRIORS.len()],
    model: Estimate,
    /// Drafts passed over since the last one that was used.
    passed: u32,
    /// Passed drafts after which one is tried.
    retry: u32,
}

impl Default for Acceptance {
    fn default() -> Self {
        Self::new()
    }
}

impl Acceptance {
    /// First impressions.
    pub fn new() -> Self {
        Self {
            lookup: LOOKUP_PRIORS.map(Estimate::expecting),
            model: Estimate::expecting(MODEL_PRIOR),
            passed: 0,
            retry: FIRST_RETRY,
        }
    }

    /// The probability that a token of such a draft is right when all before it were, 0 to 1.
    pub fn probability(&self, source: DraftSource) -> f64 {
        let estimate = match source {
            DraftSource::Lookup { length } => self.lookup[lookup_class(length)],
            DraftSource::Model => self.model,
        };
        estimate.accepted / estimate.tried
    }

    /// Whether enough drafts were passed over that one token should be tried, whatever the estimate says.
    pub fn is_due(&self) -> bool {
        self.passed >= self.retry
    }

    /// Notes a draft that was there and not used.
    pub fn pass(&mut self) {
        self.passed = self.passed.saturating_add(1);
    }

    /// Notes what became of a draft of `drafted` tokens.
    pub fn record(&mut self, source: DraftSource, drafted: usize, accepted: usize) {
        if drafted == 0 {
            return;
        }
        let estimate = match source {
            DraftSource::Lookup { length } => &mut self.lookup[lookup_class(length)],
            DraftSource::Model => &mut self.model,
        };
        for _ in 0..accepted {
            estimate.note(1.0);
        }
        if accepted < drafted {
            // Tokens after the first wrong one say nothing.
            estimate.note(0.0);
        }
        if self.is_due() {
            let failed = accepted == 0;
            self.retry = if failed { (self.retry * 2).min(LAST_RETRY) } else { FIRST_RETRY };
        }
        self.passed = 0;
    }
}

impl Estimate {
    fn expecting(probability: f64) -> Self {
        Self { accepted: probability * PRIOR_WEIGHT, tried: PRIOR_WEIGHT }
    }

    fn note(&mut self, accepted: f64) {
        self.accepted = self.accepted * MEMORY + accepted;
        self.tried = self.tried * MEMORY + 1.0;
    }
}

fn lookup_class(length: usize) -> usize {
    length.clamp(SHORTEST_MATCH, LONGEST_MATCH) - SHORTEST_MATCH
}
