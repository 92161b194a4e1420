//! The fields that chat and completions share: how tokens are chosen, when the answer ends, and how it is delivered.

use realm_engine::{engine::TokenId, sampler::SamplerParams};
use serde_json::Value;

use crate::api::{
    error::ApiError,
    fields::{self, Fields},
};

/// Answers to one prompt, at most.
pub const MAX_CHOICES: i64 = 8;
/// Stop strings of a request, at most.
pub const MAX_STOP_STRINGS: usize = 16;
/// Length of a stop string, in bytes, at most.
pub const MAX_STOP_BYTES: usize = 1024;
/// Entries of `logit_bias`, at most.
pub const MAX_LOGIT_BIAS: usize = 1024;
/// Longest `max_tokens` that is read; the context bounds it further.
pub const MAX_TOKENS: i64 = 1 << 30;
/// Bookkeeping: taken, and without any effect on the answer.
const BOOKKEEPING: [&str; 5] =
    ["user", "metadata", "store", "safety_identifier", "prompt_cache_key"];

/// How to generate, as the client asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Tokens of the answer at most; `None` leaves it to the server.
    pub max_tokens: Option<usize>,
    /// How tokens are chosen. The seed is always set.
    pub sampling: SamplerParams,
    /// Strings that end the answer.
    pub stop: Vec<String>,
    /// Answers to each prompt.
    pub choices: usize,
    /// How the answer is delivered.
    pub delivery: Delivery,
}

/// How an answer is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As one document.
    Whole,
    /// As events.
    Stream {
        /// Whether token counts come before the end.
        include_usage: bool,
    },
}

impl Generation {
    /// Takes the shared fields. `seed` is used when the client names none.
    pub fn parse(fields: &mut Fields, seed: u64) -> Result<Self, ApiError> {
        Self::parse_at_least(1, fields, seed)
    }

    /// The same for answers of at least so many tokens.
    pub fn parse_at_least(least: i64, fields: &mut Fields, seed: u64) -> Result<Self, ApiError> {
        fields.bookkeeping(&BOOKKEEPING);
        Ok(Self {
            max_tokens: max_tokens(least, fields)?,
            sampling: sampling(fields, seed)?,
            stop: stop(fields)?,
            choices: fields.integer("n", 1..=MAX_CHOICES)?.unwrap_or(1) as usize,
            delivery: delivery(fields)?,
        })
    }
}

/// `max_completion_tokens` is the newer name of `max_tokens`; both may be there when they agree.
fn max_tokens(least: i64, fields: &mut Fields) -> Result<Option<usize>, ApiError> {
    let old = fields.integer("max_tokens", least..=MAX_TOKENS)?;
    let new = fields.integer("max_completion_tokens", least..=MAX_TOKENS)?;
    if let (Some(old), Some(new)) = (old, new)
        && old != new
    {
        let message = format!(
            "`max_tokens` is {old} and `max_completion_tokens` is {new}; send only one of them"
        );
        return Err(ApiError::invalid("max_completion_tokens", "invalid_value", message));
    }
    Ok(new.or(old).map(|tokens| tokens as usize))
}

fn sampling(fields: &mut Fields, seed: u64) -> Result<SamplerParams, ApiError> {
    let default = SamplerParams::default();
    Ok(SamplerParams {
        temperature: fields.number("temperature", 0.0..=2.0)?.unwrap_or(default.temperature),
        top_p: fields.number("top_p", 0.0..=1.0)?.unwrap_or(default.top_p),
        top_k: fields
            .integer("top_k", 0..=i64::from(u32::MAX))?
            .map_or(default.top_k, |top_k| top_k as u32),
        min_p: fields.number("min_p", 0.0..=1.0)?.unwrap_or(default.min_p),
        repetition_penalty: fields
            .number("repetition_penalty", 0.01..=10.0)?
            .unwrap_or(default.repetition_penalty),
        presence_penalty: fields
            .number("presence_penalty", -2.0..=2.0)?
            .unwrap_or(default.presence_penalty),
        frequency_penalty: fields
            .number("frequency_penalty", -2.0..=2.0)?
            .unwrap_or(default.frequency_penalty),
        seed: Some(seed_field(fields)?.unwrap_or(seed)),
        logit_bias: logit_bias(fields)?,
    })
}

/// Any whole number of 64 bits, negative ones too.
fn seed_field(fields: &mut Fields) -> Result<Option<u64>, ApiError> {
    match fields.take("seed") {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(seed) => Ok(Some(seed)),
            None => {
                Ok(Some(fields::integer(&fields.path("seed"), &value, i64::MIN..=i64::MAX)? as u64))
            }
        },
    }
}

fn logit_bias(fields: &mut Fields) -> Result<Vec<(TokenId, f32)>, ApiError> {
    let path = fields.path("logit_bias");
    let map = match fields.take("logit_bias") {
        None => return Ok(Vec::new()),
        Some(Value::Object(map)) => map,
        Some(other) => {
            return Err(fields::wrong_type(&path, "an object from token ids to numbers", &other));
        }
    };
    if map.len() > MAX_LOGIT_BIAS {
        return Err(fields::too_many(&path, map.len(), MAX_LOGIT_BIAS));
    }
    map.iter().map(|(token, bias)| one_bias(&path, token, bias)).collect()
}

fn one_bias(path: &str, token: &str, bias: &Value) -> Result<(TokenId, f32), ApiError> {
    let Ok(id) = token.parse::<TokenId>() else {
        let message =
            format!("`{path}` has the key {token:?}; keys are token ids, for example \"123\"");
        return Err(ApiError::invalid(path, "invalid_value", message));
    };
    Ok((id, fields::number(&format!("{path}.{token}"), bias, -100.0..=100.0)?))
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let path = fields.path("stop");
    let list = match fields.take("stop") {
        None => return Ok(Vec::new()),
        Some(text @ Value::String(_)) => vec![text],
        Some(Value::Array(list)) => list,
        Some(other) => {
            return Err(fields::wrong_type(&path, "a string or a list of strings", &other));
        }
    };
    if list.len() > MAX_STOP_STRINGS {
        return Err(fields::too_many(&path, list.len(), MAX_STOP_STRINGS));
    }
    list.into_iter()
        .enumerate()
        .map(|(index, value)| one_stop(&format!("{path}[{index}]"), value))
        .collect()
}

fn one_stop(path: &str, value: Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) if (1..=MAX_STOP_BYTES).contains(&text.len()) => Ok(text),
        Value::String(text) => {
            let message = format!(
                "`{path}` has {} bytes; a stop string has 1 to {MAX_STOP_BYTES}",
                text.len()
            );
            Err(ApiError::invalid(path, "invalid_value", message))
        }
        other => Err(fields::wrong_type(path, "a string", &other)),
    }
}

fn delivery(fields: &mut Fields) -> Result<Delivery, ApiError> {
    let stream = fields.boolean("stream")?.unwrap_or(false);
    let options = fields.object("stream_options")?;
    match (stream, options) {
        (false, None) => Ok(Delivery::Whole),
        (false, Some(_)) => {
            let message = "`stream_options` is only allowed when `stream` is true";
            Err(ApiError::invalid("stream_options", "invalid_value", message))
        }
        (true, None) => Ok(Delivery::Stream { include_usage: false }),
        (true, Some(mut options)) => {
            let include_usage = options.boolean("include_usage")?.unwrap_or(false);
            options.unsupported(&["include_obfuscation"])?;
            options.finish()?;
            Ok(Delivery::Stream { include_usage })
        }
    }
}
