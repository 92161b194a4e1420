//! `POST /v1/completions`: the request, read field by field.

use realm_engine::engine::TokenId;
use serde_json::Value;

use crate::api::{
    error::ApiError,
    fields::{self, Fields},
    generation::Generation,
    structured::Structure,
};

/// Prompts of a request, at most.
const MAX_PROMPTS: usize = 32;
/// Alternatives that `logprobs` may ask for, at most.
const MAX_LOGPROBS: i64 = 5;

/// A prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Text.
    Text(String),
    /// Token ids.
    Tokens(Vec<TokenId>),
}

/// A completion request as the client meant it.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// Name of the model.
    pub model: String,
    /// At least one.
    pub prompts: Vec<Prompt>,
    /// How to generate.
    pub generation: Generation,
    /// Alternatives to report for each token; `None` reports no probabilities.
    pub top_logprobs: Option<usize>,
    /// What each answer has to be, if not just any text.
    pub structure: Option<Structure>,
    /// Whether the prompt comes back in front of each answer.
    pub echo: bool,
}

impl CompletionRequest {
    /// Reads the body. `seed` is used when the client names none.
    pub fn parse(mut fields: Fields, seed: u64) -> Result<Self, ApiError> {
        let model = fields.required_string("model")?;
        let prompts = prompts(fields.required("prompt")?)?;
        let echo = fields.boolean("echo")?.unwrap_or(false);
        // Without an answer there has to be something else to say.
        let generation = Generation::parse_at_least(i64::from(!echo), &mut fields, seed)?;
        let top_logprobs = fields.integer("logprobs", 0..=MAX_LOGPROBS)?.map(|top| top as usize);
        best_of(&mut fields, generation.choices)?;
        let structure = Structure::parse(&mut fields)?;
        fields.unsupported(&["suffix"])?;
        fields.finish()?;
        Ok(Self { model, prompts, generation, top_logprobs, structure, echo })
    }
}

/// A string, a list of strings, a list of token ids, or a list of such lists.
fn prompts(value: Value) -> Result<Vec<Prompt>, ApiError> {
    match value {
        Value::Array(list) if list.iter().any(|entry| entry.is_string() || entry.is_array()) => {
            if list.len() > MAX_PROMPTS {
                return Err(fields::too_many("prompt", list.len(), MAX_PROMPTS));
            }
            let entries = list.into_iter().enumerate();
            entries.map(|(index, entry)| prompt(&format!("prompt[{index}]"), entry)).collect()
        }
        single => Ok(vec![prompt("prompt", single)?]),
    }
}

fn prompt(path: &str, value: Value) -> Result<Prompt, ApiError> {
    match value {
        Value::String(text) => Ok(Prompt::Text(text)),
        Value::Array(list) => tokens(path, &list).map(Prompt::Tokens),
        other => Err(fields::wrong_type(
            path,
            "a string, a list of strings or a list of token ids",
            &other,
        )),
    }
}

/// A list of token ids.
pub fn tokens(path: &str, list: &[Value]) -> Result<Vec<TokenId>, ApiError> {
    list.iter().enumerate().map(|entry| token(path, entry)).collect()
}

fn token(path: &str, (index, value): (usize, &Value)) -> Result<TokenId, ApiError> {
    fields::integer(&format!("{path}[{index}]"), value, 0..=i64::from(TokenId::MAX))
        .map(|token| token as TokenId)
}

/// Every answer is returned, so `best_of` can only be what `n` is.
fn best_of(fields: &mut Fields, choices: usize) -> Result<(), ApiError> {
    match fields.integer("best_of", 1..=i64::MAX)? {
        Some(best_of) if best_of != choices as i64 => {
            let supported = format!("only the value of `n`, {choices}");
            Err(fields::unsupported_value("best_of", &best_of.to_string(), &supported))
        }
        _ => Ok(()),
    }
}
