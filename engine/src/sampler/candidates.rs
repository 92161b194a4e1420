//! The tokens that may still be drawn, and the filters that shrink them.
//!
//! Every order here is total (larger logit first, then lower id), so that equal logits give equal draws everywhere.

use std::cmp::Ordering;

use crate::{kernels::exp::exp, tokenizer::TokenId};

/// How many of the most likely tokens `top_p` looks at before it looks at four times as many.
const FIRST_LOOK: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: TokenId,
    /// Logit over temperature.
    logit: f32,
    /// Probability up to a common factor; the most likely token has 1.
    weight: f32,
}

/// The tokens that may still be drawn.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    kept: Vec<Candidate>,
}

impl Candidates {
    /// All possible tokens of a row, in order of their ids, with weights.
    pub(super) fn fill(&mut self, logits: &[f32], temperature: f32) {
        self.kept.clear();
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if largest == f32::NEG_INFINITY {
            return;
        }
        let candidate = |(token, &logit): (usize, &f32)| {
            let distance = if logit == largest { 0.0 } else { (logit - largest) / temperature };
            let token = token as TokenId;
            (logit != f32::NEG_INFINITY).then(|| Candidate {
                token,
                logit: distance,
                weight: exp(distance),
            })
        };
        self.kept.extend(logits.iter().enumerate().filter_map(candidate));
    }

    /// Keeps the `count` most likely tokens, most likely first; 0 keeps all.
    pub(super) fn keep_top_k(&mut self, count: usize) {
        if count > 0 && count < self.kept.len() {
            self.sort_front(count);
            self.kept.truncate(count);
        }
    }

    /// Keeps the fewest of the most likely tokens that together have the probability `share`, at least one.
    pub(super) fn keep_top_p(&mut self, share: f32) {
        if share >= 1.0 {
            return;
        }
        let target = self.total() * f64::from(share);
        let mut look = FIRST_LOOK;
        loop {
            look = look.min(self.kept.len());
            self.sort_front(look);
            let mut sum = 0.0;
            let reached = self.kept[..look].iter().position(|candidate| {
                sum += f64::from(candidate.weight);
                sum >= target
            });
            match reached {
                Some(last) => return self.kept.truncate(last + 1),
                None if look == self.kept.len() => return,
                None => look *= 4,
            }
        }
    }

    /// Keeps tokens at least `share` as likely as the most likely one.
    pub(super) fn keep_min_p(&mut self, share: f32) {
        if share > 0.0 {
            self.kept.retain(|candidate| candidate.weight >= share);
        }
    }

    /// The token at which the running sum of probability passes `uniform`, in 0..1.
    pub(super) fn draw(&self, uniform: f64) -> TokenId {
        let target = uniform * self.total();
        let mut sum = 0.0;
        let drawn = self.kept.iter().find(|candidate| {
            sum += f64::from(candidate.weight);
            sum > target
        });
        drawn.or(self.kept.first()).map_or(0, |candidate| candidate.token)
    }

    fn total(&self) -> f64 {
        self.kept.iter().map(|candidate| f64::from(candidate.weight)).sum()
    }

    /// Sorts the `count` most likely tokens to the front.
    fn sort_front(&mut self, count: usize) {
        if count < self.kept.len() {
            self.kept.select_nth_unstable_by(count, likelier);
        }
        self.kept[..count].sort_unstable_by(likelier);
    }
}

fn likelier(left: &Candidate, right: &Candidate) -> Ordering {
    right.logit.total_cmp(&left.logit).then(left.token.cmp(&right.token))
}
