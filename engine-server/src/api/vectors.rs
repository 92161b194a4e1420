//! Vectors as clients get them: of length 1, as many numbers as they ask for, as numbers or base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use realm_engine::engine::ModelInfo;
use serde::Serialize;

use crate::api::{embedding_request::Encoding, error::ApiError};

/// Models whose vectors are good when they are cut, by a part of their names in lower case with every other character a
/// hyphen. They were trained for it (Matryoshka), which their files do not say.
const CUT_WELL: [&str; 4] = [
    "qwen3-embedding",
    "mxbai-embed-large",
    "snowflake-arctic-embed-m-v1-5",
    "snowflake-arctic-embed-l-v2",
];

/// The answer.
#[derive(Debug, Serialize)]
pub struct VectorList<'a> {
    /// Always `list`.
    pub object: &'static str,
    /// In the order of the texts.
    pub data: Vec<VectorDocument>,
    /// Served name of the model.
    pub model: &'a str,
    /// Token counts.
    pub usage: TextUsage,
}

/// A vector.
#[derive(Debug, Serialize)]
pub struct VectorDocument {
    /// Always `embedding`.
    pub object: &'static str,
    /// Which text it is of.
    pub index: usize,
    /// The vector.
    pub embedding: Written,
}

/// Token counts of texts, which have no answers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TextUsage {
    /// Tokens of all texts.
    pub prompt_tokens: usize,
    /// The same.
    pub total_tokens: usize,
}

/// The numbers of a vector.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Written {
    /// A list.
    Float(Vec<f32>),
    /// Their bytes.
    Base64(String),
}

/// Numbers of each vector: as many as asked for, where the model's vectors are good when they are cut.
pub fn length(asked: Option<usize>, model: &ModelInfo) -> Result<usize, ApiError> {
    let own = model.embedding_length;
    let Some(asked) = asked.filter(|asked| *asked != own) else { return Ok(own) };
    let message = if asked > own {
        format!("`dimensions` is {asked} and the model's vectors have {own}; ask for fewer")
    } else if cuts_well(&model.name) {
        return Ok(asked);
    } else {
        format!(
            "`dimensions` is {asked}, but vectors of the model `{}` are not known to be good when they are cut; remove it, or ask for all {own}",
            model.name
        )
    };
    Err(ApiError::invalid("dimensions", "unsupported_value", message))
}

fn cuts_well(name: &str) -> bool {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' }
    };
    let name: String = name.chars().map(plain).collect();
    CUT_WELL.iter().any(|part| name.contains(part))
}

/// The first `length` numbers, as a vector of length 1.
pub fn finished(mut vector: Vec<f32>, length: usize, encoding: Encoding) -> Written {
    vector.truncate(length);
    let squares: f64 = vector.iter().map(|&number| f64::from(number) * f64::from(number)).sum();
    // Nothing but zeros has no direction.
    let scale = if squares > 0.0 { 1.0 / squares.sqrt() } else { 0.0 };
    let numbers = vector.iter().map(|&number| (f64::from(number) * scale) as f32);
    match encoding {
        Encoding::Float => Written::Float(numbers.collect()),
        Encoding::Base64 => {
            let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
            Written::Base64(STANDARD.encode(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_cut_and_then_have_length_one() {
        let numbers =
            |vector: &[f32], length| match finished(vector.to_vec(), length, Encoding::Float) {
                Written::Float(numbers) => numbers,
                Written::Base64(text) => panic!("{text}"),
            };
        assert_eq!(numbers(&[3.0, 4.0], 2), [0.6, 0.8]);
        assert_eq!(numbers(&[3.0, 4.0, 12.0], 2), [0.6, 0.8]);
        assert_eq!(numbers(&[0.0, 0.0], 2), [0.0, 0.0]);
        assert_eq!(numbers(&[1e30, 0.0], 2), [1.0, 0.0], "no overflow");
    }

    #[test]
    fn only_models_that_were_trained_for_it_are_cut() {
        for name in
            ["Qwen3 Embedding 0.6B", "mxbai-embed-large-v1", "Snowflake Arctic Embed M V1.5"]
        {
            assert!(cuts_well(name), "{name}");
        }
        for name in ["Qwen3 0.6B", "all-MiniLM-L6-v2", "", "arctic-embed-m"] {
            assert!(!cuts_well(name), "{name}");
        }
    }
}
