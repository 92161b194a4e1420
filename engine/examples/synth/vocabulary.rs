//! The tokenizer's metadata of a synthetic file: copied from a real one, or one token per byte.

use std::path::Path;

use anyhow::Context;
use realm_engine::{
    gguf::{Array, Value},
    weights::MappedModel,
};

const PREFIX: &str = "tokenizer.";
/// The tokens' key.
const TOKENS: &str = "tokenizer.ggml.tokens";
/// Token types of the specification.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
/// The end token of the byte vocabulary: after the 256 bytes and the one merge.
const BYTES_END: u32 = 257;

/// Metadata entries, and how many tokens they make.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// Keys and values.
    pub(crate) metadata: Vec<(String, Value)>,
    /// Number of tokens.
    pub(crate) tokens: usize,
}

/// The tokenizer of the GGUF file at `path`.
pub(crate) fn of_file(path: &Path) -> anyhow::Result<Vocabulary> {
    let file = MappedModel::open(path)?;
    let tokens = file
        .metadata()
        .strings(TOKENS)
        .with_context(|| format!("{} has no tokenizer to copy", path.display()))?
        .len();
    let metadata = file
        .metadata()
        .iter()
        .filter(|(key, _)| key.starts_with(PREFIX))
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect();
    Ok(Vocabulary { metadata, tokens })
}

/// A byte-pair vocabulary of the 256 bytes, one merge and an end token.
pub(crate) fn bytes() -> Vocabulary {
    let mut tokens = byte_alphabet();
    tokens.extend(["ab".to_owned(), "<|end|>".to_owned()]);
    let mut types = vec![NORMAL; tokens.len() - 1];
    types.push(CONTROL);
    let count = tokens.len();
    let text = |text: &str| Value::String(text.to_owned());
    let metadata = [
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("gpt-2")),
        (TOKENS, Value::Array(Array::String(tokens))),
        ("tokenizer.ggml.token_type", Value::Array(Array::I32(types))),
        ("tokenizer.ggml.merges", Value::Array(Array::String(vec!["a b".to_owned()]))),
        ("tokenizer.ggml.bos_token_id", Value::U32(BYTES_END)),
        ("tokenizer.ggml.eos_token_id", Value::U32(BYTES_END)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    Vocabulary { metadata, tokens: count }
}

/// The characters that stand for bytes in GPT-2's vocabulary, in byte order: those that print stand for themselves,
/// the others take code points from 256 on.
fn byte_alphabet() -> Vec<String> {
    let mut substitute = 256_u32..;
    (0..=255_u32)
        .map(|byte| match byte {
            33..=126 | 161..=172 | 174..=255 => byte,
            _ => substitute.next().unwrap_or(byte),
        })
        .filter_map(char::from_u32)
        .map(String::from)
        .collect()
}
