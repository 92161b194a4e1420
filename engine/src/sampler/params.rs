//! Sampling parameters and the ranges in which they mean something.

use crate::tokenizer::TokenId;

/// Most tokens that one request may bias.
pub const MAX_LOGIT_BIASES: usize = 1024;

/// How a token is chosen from a row of logits. The default samples the model's own distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerParams {
    /// 0 takes the most likely token; 1 samples the model's distribution. 0 to 2.
    pub temperature: f32,
    /// Keep the `top_k` most likely tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the most likely tokens that together have this probability; 1 keeps all, 0 keeps one. 0 to 1.
    pub top_p: f32,
    /// Keep tokens at least this likely relative to the most likely one; 0 keeps all. 0 to 1.
    pub min_p: f32,
    /// Divides positive logits of tokens seen before and multiplies negative ones; 1 is off. Above 0, to 10.
    /// Keskar et al. 2019, CTRL.
    pub repetition_penalty: f32,
    /// Subtracted from logits of tokens seen before; 0 is off. -2 to 2.
    pub presence_penalty: f32,
    /// Subtracted once for each time a token was seen; 0 is off. -2 to 2.
    pub frequency_penalty: f32,
    /// Same seed, same tokens; `None` takes one from the operating system.
    pub seed: Option<u64>,
    /// Added to the logits of the named tokens; -100 bans. -100 to 100, at most [`MAX_LOGIT_BIASES`]; tokens that are
    /// not in the vocabulary are passed over.
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter} is {value}; it must be {range}")]
pub struct SamplerError {
    /// Name as in [`SamplerParams`].
    pub parameter: &'static str,
    /// The value that was given.
    pub value: String,
    /// What is accepted.
    pub range: &'static str,
}

impl SamplerParams {
    pub(super) fn check(&self) -> Result<(), SamplerError> {
        within("temperature", self.temperature, (0.0..=2.0).contains(&self.temperature), "0 to 2")?;
        within("top_p", self.top_p, (0.0..=1.0).contains(&self.top_p), "0 to 1")?;
        within("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "0 to 1")?;
        let repetition = self.repetition_penalty;
        within(
            "repetition_penalty",
            repetition,
            repetition > 0.0 && repetition <= 10.0,
            "above 0, at most 10",
        )?;
        within(
            "presence_penalty",
            self.presence_penalty,
            self.presence_penalty.abs() <= 2.0,
            "-2 to 2",
        )?;
        within(
            "frequency_penalty",
            self.frequency_penalty,
            self.frequency_penalty.abs() <= 2.0,
            "-2 to 2",
        )?;
        self.check_logit_bias()
    }

    fn check_logit_bias(&self) -> Result<(), SamplerError> {
        if self.logit_bias.len() > MAX_LOGIT_BIASES {
            let value = format!("a list of {} tokens", self.logit_bias.len());
            return Err(SamplerError {
                parameter: "logit_bias",
                value,
                range: "a list of at most 1024 tokens",
            });
        }
        for &(token, bias) in &self.logit_bias {
            if bias.is_nan() || bias.abs() > 100.0 {
                let value = format!("{bias} for token {token}");
                return Err(SamplerError { parameter: "logit_bias", value, range: "-100 to 100" });
            }
        }
        Ok(())
    }
}

/// Comparisons with NaN are false, so NaN is never within.
fn within(
    parameter: &'static str,
    value: f32,
    holds: bool,
    range: &'static str,
) -> Result<(), SamplerError> {
    if holds { Ok(()) } else { Err(SamplerError { parameter, value: value.to_string(), range }) }
}
