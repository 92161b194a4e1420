//! (signatures; bodies follow)

use crate::tokenizer::TokenId;

/// How a token is chosen from a row of logits.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerParams {
    /// 0 takes the most likely token; 1 samples the model's distribution.
    pub temperature: f32,
    /// Keep the `top_k` most likely tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the most likely tokens that together have this probability; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this likely relative to the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Divides (or multiplies, when negative) logits of tokens seen before; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted from logits of tokens seen before; 0 is off.
    pub presence_penalty: f32,
    /// Subtracted once for each time a token was seen; 0 is off.
    pub frequency_penalty: f32,
    /// Same seed, same tokens; `None` takes a fixed seed of 0.
    pub seed: Option<u64>,
    /// Added to the logits of the named tokens.
    pub logit_bias: Vec<(TokenId, f32)>,
}

impl Default for SamplerParams {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seed: None,
            logit_bias: Vec::new(),
        }
    }
}

/// A sampling parameter is out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{parameter} is {value}; it must be {range}")]
pub struct SamplerError {
    /// Name as in [`SamplerParams`].
    pub parameter: &'static str,
    /// The value that was given.
    pub value: String,
    /// What is accepted.
    pub range: &'static str,
}

/// Chooses tokens for one sequence.
#[derive(Debug)]
pub struct Sampler {}

impl Sampler {
    /// Checks the parameters.
    pub fn new(_params: SamplerParams) -> Result<Self, SamplerError> {
        Ok(Self {})
    }

    /// Adds a token to the history that penalties look at.
    pub fn accept(&mut self, _token: TokenId) {}

    /// Chooses a token from a row of logits.
    pub fn sample(&mut self, _logits: &[f32]) -> TokenId {
        0
    }
}

/// A token with its natural-log probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogProbability {
    /// The token.
    pub token: TokenId,
    /// Natural logarithm of its probability.
    pub log_probability: f32,
}

/// The `top` most likely tokens of a row of logits, most likely first (ties: lowest id first).
pub fn log_probabilities(_logits: &[f32], _top: usize) -> Vec<TokenLogProbability> {
    Vec::new()
}

/// The natural-log probability of one token; `None` when it is not in the row.
pub fn log_probability(_logits: &[f32], _token: TokenId) -> Option<f32> {
    None
}
