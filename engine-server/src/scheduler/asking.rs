//! A sequence's questions to its program: the candidates that were shown, and what a decision on them does to the row that
//! the sampler keeps meanwhile.

use std::time::Duration;

use realm_engine::{engine::TokenId, sampler::Sampler};
use realm_sandbox::{Breach, answer::Decision, wire::Step};

use crate::program::{Decided, LogitHook};

/// Where in an answer a token is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Tokens of the answer so far.
    pub(super) position: usize,
    /// The token before.
    pub(super) last: TokenId,
}

/// One question at a time.
#[derive(Debug)]
pub(super) struct Asking {
    hook: LogitHook,
    /// What the program was shown, likeliest first.
    candidates: Vec<(TokenId, f32)>,
    /// A question has no answer that was taken.
    open: bool,
    /// How long the last answer took.
    took: Duration,
}

impl Asking {
    pub(super) fn new(hook: LogitHook) -> Self {
        Self { hook, candidates: Vec::new(), open: false, took: Duration::ZERO }
    }

    /// Asks about the row that the sampler has weighed, which has to stay as it is until the answer.
    pub(super) fn ask(&mut self, sampler: &Sampler, place: Place) {
        self.candidates = sampler.likeliest(self.hook.top());
        let step = Step {
            position: u32::try_from(place.position).unwrap_or(u32::MAX),
            last: place.last,
            entropy: entropy(&self.candidates),
        };
        self.hook.ask(step, &self.candidates);
        self.open = true;
    }

    /// The decision, when it has come; once.
    pub(super) fn take(&mut self) -> Option<Result<Decision, Breach>> {
        let Decided { decision, took } = self.hook.take()?;
        self.took = took;
        self.open = false;
        Some(decision)
    }

    /// Leaves in the weighed row what the decision leaves of the candidates.
    pub(super) fn narrow(&self, sampler: &mut Sampler, decision: Decision) {
        let candidates = self.candidates.iter().copied();
        match decision {
            Decision::Pick(index) => sampler.narrow(candidates.skip(index).take(1)),
            Decision::Keep(flags) => {
                let kept = candidates.zip(flags).filter(|(_, keep)| *keep);
                sampler.narrow(kept.map(|(candidate, _)| candidate));
            }
            Decision::Adjust(logits) => {
                sampler.narrow(candidates.zip(logits).map(|((token, _), logit)| (token, logit)));
            }
            Decision::Pass | Decision::Force(_) | Decision::Stop(_) => {}
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn has_answer(&self) -> bool {
        self.open && self.hook.has_answer()
    }

    /// Whether an answer is awaited that took no longer than `patience` the last time.
    pub(super) fn is_quick(&self, patience: Duration) -> bool {
        self.open && self.took <= patience && !self.hook.has_answer()
    }
}

/// Of the distribution of these candidates, in nats.
fn entropy(candidates: &[(TokenId, f32)]) -> f32 {
    let Some(&(_, largest)) = candidates.first() else { return 0.0 };
    let distances = || candidates.iter().map(|(_, logit)| logit - largest);
    let total: f32 = distances().map(f32::exp).sum();
    let expected: f32 = distances().map(|distance| distance * distance.exp()).sum();
    total.ln() - expected / total
}

#[cfg(test)]
mod tests {
    use super::entropy;

    #[test]
    fn entropy_is_that_of_the_candidates() {
        assert!((entropy(&[(1, 3.0), (2, 3.0)]) - 2.0_f32.ln()).abs() < 1e-6);
        assert!(entropy(&[(1, 90.0), (2, 0.0)]).abs() < 1e-6);
        assert!(entropy(&[]).abs() < 1e-6);
        // 0.8 and 0.2.
        let uneven = entropy(&[(7, 4.0_f32.ln()), (9, 0.0)]);
        assert!((uneven - 0.500_402_4).abs() < 1e-5, "{uneven}");
    }
}
