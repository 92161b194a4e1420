//! `POST /v1/completions`: the request, read field by field.

use realm_engine::engine::TokenId;
use serde_json::Value;

use crate::{
    api::{
        error::ApiError,
        fields::{self, Fields},
        generation::{Delivery, Generation, MAX_CHOICES},
        structured::Structure,
    },
    scheduler::event::{PromptScores, Scores},
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
    /// How to generate; its `choices` are the answers that are drawn.
    pub generation: Generation,
    /// The best of them to each prompt, which are returned.
    pub returned: usize,
    /// Alternatives to report for each token; `None` reports no probabilities.
    pub top_logprobs: Option<usize>,
    /// What each answer has to be, if not just any text.
    pub structure: Option<Structure>,
    /// What completions have and chats have not.
    pub extras: Extras,
}

/// What completions have and chats have not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extras {
    /// Whether the prompts come back in front of their answers.
    pub echo: bool,
    /// Whether only the best answers are returned.
    pub ranked: bool,
    /// Probabilities to report beside those of the texts.
    pub scores: Scores,
    /// What the text goes on with behind the answer.
    pub suffix: Option<String>,
}

impl CompletionRequest {
    /// Reads the body. `seed` is used when the client names none.
    pub fn parse(mut fields: Fields, seed: u64) -> Result<Self, ApiError> {
        let model = fields.required_string("model")?;
        let prompts = prompts("prompt", MAX_PROMPTS, fields.required("prompt")?)?;
        let echo = fields.boolean("echo")?.unwrap_or(false);
        // Without an answer there has to be something else to say.
        let mut generation = Generation::parse_at_least(i64::from(!echo), &mut fields, seed)?;
        let top_logprobs = fields.integer("logprobs", 0..=MAX_LOGPROBS)?.map(|top| top as usize);
        let returned = generation.choices;
        generation.choices = best_of(&mut fields, &generation)?;
        let structure = Structure::parse(&mut fields)?;
        let suffix = fields.string("suffix")?;
        if echo && suffix.is_some() {
            let message = "`suffix` cannot be combined with `echo`";
            return Err(ApiError::invalid("suffix", "unsupported_value", message));
        }
        fields.finish()?;
        let ranked = generation.choices > returned;
        let scores = scores(top_logprobs, echo, ranked);
        let extras = Extras { echo, ranked, scores, suffix };
        Ok(Self { model, prompts, generation, returned, top_logprobs, structure, extras })
    }
}

/// A string, a list of strings, a list of token ids, or a list of such lists.
pub fn prompts(field: &str, max: usize, value: Value) -> Result<Vec<Prompt>, ApiError> {
    match value {
        Value::Array(list) if list.iter().any(|entry| entry.is_string() || entry.is_array()) => {
            if list.len() > max {
                return Err(fields::too_many(field, list.len(), max));
            }
            let entries = list.into_iter().enumerate();
            entries.map(|(index, entry)| prompt(&format!("{field}[{index}]"), entry)).collect()
        }
        single => Ok(vec![prompt(field, single)?]),
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

/// Probabilities go on to the token that ends an answer, so that there is an entry for each token that was computed.
fn scores(top_logprobs: Option<usize>, echo: bool, ranked: bool) -> Scores {
    let prompt = top_logprobs.filter(|_| echo);
    let prompt = prompt.map(|top| PromptScores { top, from: 0 });
    Scores { prompt, end: top_logprobs.is_some() || ranked }
}

/// Answers that are drawn, of which `n` are returned.
fn best_of(fields: &mut Fields, generation: &Generation) -> Result<usize, ApiError> {
    let choices = generation.choices;
    let drawn = fields.integer("best_of", 1..=MAX_CHOICES)?.map_or(choices, |drawn| drawn as usize);
    let problem = if drawn < choices {
        format!("less than `n`, {choices}")
    } else if drawn > choices && generation.delivery != Delivery::Whole {
        "more than `n`; with `stream` the best are not known before all have ended".to_owned()
    } else {
        return Ok(drawn);
    };
    let message = format!("`best_of` is {drawn}, which is {problem}");
    Err(ApiError::invalid("best_of", "invalid_value", message))
}
