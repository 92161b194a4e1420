//! Natural-log probabilities of a row of logits, for answers that ask for them.

use crate::tokenizer::TokenId;

/// A token with its natural-log probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogProbability {
    /// The token.
    pub token: TokenId,
    /// Natural logarithm of its probability; negative infinity when it is impossible.
    pub log_probability: f32,
}

/// The `top` most likely tokens of a row of logits, most likely first; ties to the lowest id first.
pub fn log_probabilities(logits: &[f32], top: usize) -> Vec<TokenLogProbability> {
    let Some(normalizer) = log_sum_exp(logits) else { return Vec::new() };
    let mut tokens: Vec<TokenId> = (0..logits.len() as TokenId).collect();
    let likelier = |&left: &TokenId, &right: &TokenId| {
        possible(logits[right as usize])
            .total_cmp(&possible(logits[left as usize]))
            .then(left.cmp(&right))
    };
    if top < tokens.len() {
        tokens.select_nth_unstable_by(top, likelier);
        tokens.truncate(top);
    }
    tokens.sort_unstable_by(likelier);
    let entry = |token| TokenLogProbability {
        token,
        log_probability: relative(logits[token as usize], normalizer),
    };
    tokens.into_iter().map(entry).collect()
}

/// The natural-log probability of one token; `None` when it is not in the row or the row has no possible token.
pub fn log_probability(logits: &[f32], token: TokenId) -> Option<f32> {
    let logit = *logits.get(token as usize)?;
    log_sum_exp(logits).map(|normalizer| relative(logit, normalizer))
}

/// A logit that is not a number counts as impossible.
fn possible(logit: f32) -> f32 {
    if logit.is_nan() { f32::NEG_INFINITY } else { logit }
}

fn relative(logit: f32, normalizer: f64) -> f32 {
    (f64::from(possible(logit)) - normalizer) as f32
}

/// Logarithm of the sum of exponentials; `None` when no logit is finite.
fn log_sum_exp(logits: &[f32]) -> Option<f64> {
    let largest = logits.iter().copied().map(possible).fold(f32::NEG_INFINITY, f32::max);
    if !largest.is_finite() {
        return None;
    }
    let sum: f64 = logits.iter().map(|&logit| f64::from(possible(logit) - largest).exp()).sum();
    Some(f64::from(largest) + sum.ln())
}
