//! `POST /v1/embeddings`: the request, read field by field.

use crate::api::{
    completion_request::{Prompt, prompts},
    error::ApiError,
    fields::{Fields, unsupported_value},
};

/// Texts of a request, at most.
const MAX_INPUTS: usize = 2048;
/// Longest vector that `dimensions` may ask for; the model's own bounds it further.
const MAX_DIMENSIONS: i64 = 1 << 20;

/// A request for vectors as the client meant it.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingRequest {
    /// Name of the model.
    pub model: String,
    /// At least one.
    pub inputs: Vec<Prompt>,
    /// How vectors are written.
    pub encoding: Encoding,
    /// Numbers of a vector; `None` leaves it to the model.
    pub dimensions: Option<usize>,
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As lists of numbers.
    Float,
    /// As base64 of their single-precision numbers, the lowest byte of each first.
    Base64,
}

impl EmbeddingRequest {
    /// Reads the body.
    pub fn parse(mut fields: Fields) -> Result<Self, ApiError> {
        let model = fields.required_string("model")?;
        let inputs = prompts("input", MAX_INPUTS, fields.required("input")?)?;
        let encoding = encoding(&mut fields)?;
        let dimensions = fields.integer("dimensions", 1..=MAX_DIMENSIONS)?;
        fields.bookkeeping(&["user"]);
        fields.finish()?;
        Ok(Self { model, inputs, encoding, dimensions: dimensions.map(|count| count as usize) })
    }
}

fn encoding(fields: &mut Fields) -> Result<Encoding, ApiError> {
    match fields.string("encoding_format")?.as_deref() {
        None | Some("float") => Ok(Encoding::Float),
        Some("base64") => Ok(Encoding::Base64),
        Some(other) => {
            let path = fields.path("encoding_format");
            Err(unsupported_value(&path, &format!("{other:?}"), "\"float\" and \"base64\""))
        }
    }
}
