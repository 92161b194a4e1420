//! How long the drafts of a step should be: as long as they make the step's tokens come faster. Pure.
//!
//! A step of `n` rows gives `n` tokens. A draft of `k` tokens that are right with probability `p` each adds `k` rows and
//! `p + p^2 + ... + p^k` tokens. Guesses are added in order of their worth while the rate, tokens over seconds, is
//! expected to grow. In a narrow step a row is nearly free, because the weights are read once for all; in a wide step it
//! costs what any row costs, and no guess pays: drafts go by themselves where other work needs the machine.

use super::cost::StepCosts;

/// Guesses in one step, over all sequences; bounds the work of planning.
pub const MAX_STEP_GUESSES: usize = 64;
/// Longest draft of one sequence.
pub const MAX_DRAFT: usize = 16;
/// The rate must grow by this factor, or the step goes without drafts: estimates are not exact.
const WORTHWHILE: f64 = 1.03;
/// How much longer a step may become for one tenant's drafts while others are in it.
const SHARED_STRETCH: f64 = 1.25;

/// A draft that a sequence could have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// Probability that a token is right when all before it are, 0 to 1.
    pub probability: f64,
    /// Tokens at most.
    pub most: usize,
    /// Whether the draft model would make it, a round for each token.
    pub by_model: bool,
    /// Whether it should have one token in any case, to see whether drafts pay by now.
    pub due: bool,
}

/// What the step is without drafts, and what it may become.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRoom {
    /// Rows without drafts.
    pub rows: usize,
    /// Rows that drafts may add.
    pub spare: usize,
    /// Whether the step has sequences of several tenants.
    pub shared: bool,
    /// Seconds of one round of the draft model.
    pub round_seconds: f64,
}

/// Tokens of each offer's draft, in order of the offers.
pub fn plan(costs: &StepCosts, room: StepRoom, offers: &[Offer]) -> Vec<usize> {
    let spare = room.spare.min(MAX_STEP_GUESSES);
    let before = costs.seconds(room.rows);
    let base_rate = room.rows as f64 / before;
    let mut counts = vec![0; offers.len()];
    let mut best = (counts.clone(), base_rate * WORTHWHILE);
    let mut tokens = room.rows as f64;
    for added in 1..=spare {
        let Some((index, worth)) = next(offers, &counts) else { break };
        counts[index] += 1;
        tokens += worth;
        let rounds = rounds(offers, &counts);
        let seconds = costs.seconds(room.rows + added) + rounds as f64 * room.round_seconds;
        if room.shared && seconds > before * SHARED_STRETCH {
            break;
        }
        if tokens / seconds > best.1 {
            best = (counts.clone(), tokens / seconds);
        }
    }
    with_retries(best.0, offers, spare)
}

/// The guess that is worth most, and its worth: the probability that it and all before it are right.
fn next(offers: &[Offer], counts: &[usize]) -> Option<(usize, f64)> {
    let worth = |(index, offer): (usize, &Offer)| {
        let count = counts[index];
        let open = count < offer.most.min(MAX_DRAFT);
        open.then(|| (index, offer.probability.clamp(0.0, 1.0).powi(count as i32 + 1)))
    };
    let open = offers.iter().enumerate().filter_map(worth);
    // On a tie the shorter draft, then the earlier offer.
    open.reduce(|best, other| {
        let shorter = other.1 == best.1 && counts[other.0] < counts[best.0];
        if other.1 > best.1 || shorter { other } else { best }
    })
}

fn rounds(offers: &[Offer], counts: &[usize]) -> usize {
    let by_model = offers.iter().zip(counts).filter(|(offer, _)| offer.by_model);
    by_model.map(|(_, &count)| count).max().unwrap_or(0)
}

/// One token for each offer that is due and got none, while there is room.
fn with_retries(mut counts: Vec<usize>, offers: &[Offer], spare: usize) -> Vec<usize> {
    let mut left = spare.saturating_sub(counts.iter().sum());
    for (count, offer) in counts.iter_mut().zip(offers) {
        if offer.due && *count == 0 && offer.most > 0 && left > 0 {
            *count = 1;
            left -= 1;
        }
    }
    counts
}
