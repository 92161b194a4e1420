//! What the models in the store are called, and how a user's word finds one of them.
//!
//! Reads only what the files say about themselves; a file that the engine cannot open is listed with the reason, so
//! that one bad file hides no other.

use std::path::Path;

use realm_engine::engine::{Model, ModelInfo, ModelOptions, PackedIn};
use serde::Serialize;

use super::folder::{Store, StoreError, StoredFile};

/// Candidates that an error names at most.
const MAX_NAMED: usize = 8;
/// Shortest digest prefix that is looked up, in hex digits.
const MIN_PREFIX_LEN: usize = 4;

/// A file of the store and what it says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredModel {
    /// The name in the file's metadata; the file's stem when the file cannot be read.
    pub name: String,
    /// The file's name.
    pub file: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// Length in bytes.
    pub bytes: u64,
    /// The format that most of the weights have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// Number of weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Tokens that the model was trained to hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<usize>,
    /// Where it lies.
    pub path: String,
    /// Why the engine cannot open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Why a word finds no model.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing has this name.
    #[error("no model `{word}` in the store {store}: {known}")]
    NotFound { word: String, store: String, known: String },
    /// Several models fit.
    #[error("`{word}` fits several models: {candidates}; give more of the name or the digest")]
    Ambiguous { word: String, candidates: String },
}

impl Store {
    /// All models, by name.
    pub fn models(&self) -> Result<Vec<StoredModel>, StoreError> {
        let mut models: Vec<_> = self.files()?.iter().map(describe).collect();
        models.sort_by(|a, b| (&a.name, &a.digest).cmp(&(&b.name, &b.digest)));
        Ok(models)
    }

    /// The one model that `word` means: its name, its file's name, its digest, or a prefix that fits no other.
    pub fn lookup(&self, word: &str) -> Result<StoredModel, LookupError> {
        let models = self.models()?;
        let exact: Vec<_> = models.iter().filter(|model| is_called(model, word)).collect();
        let fitting = if exact.is_empty() {
            models.iter().filter(|model| begins_with(model, word)).collect()
        } else {
            exact
        };
        match fitting.as_slice() {
            [] => Err(LookupError::NotFound {
                word: word.into(),
                store: self.root().display().to_string(),
                known: known(&models),
            }),
            [model] => Ok((*model).clone()),
            [first, rest @ ..] if rest.iter().all(|model| model.digest == first.digest) => {
                Ok((*first).clone())
            }
            _ => Err(LookupError::Ambiguous { word: word.into(), candidates: name_all(&fitting) }),
        }
    }
}

fn describe(file: &StoredFile) -> StoredModel {
    let name = |part: Option<&std::ffi::OsStr>| {
        part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let base = StoredModel {
        name: name(file.path.file_stem()),
        file: name(file.path.file_name()),
        digest: file.digest.to_string(),
        bytes: file.bytes,
        quantization: None,
        parameters: None,
        context_length: None,
        path: file.path.display().to_string(),
        problem: None,
    };
    match read_info(&file.path) {
        Ok(info) => StoredModel {
            name: info.name,
            quantization: Some(info.quantization),
            parameters: Some(info.parameters),
            context_length: Some(info.context_length),
            ..base
        },
        Err(problem) => StoredModel { problem: Some(problem), ..base },
    }
}

fn read_info(path: &Path) -> Result<ModelInfo, String> {
    Model::open(path, &ModelOptions { packed: PackedIn::File, ..ModelOptions::default() })
        .map(|model| model.info().clone())
        .map_err(|error| error.to_string())
}

fn is_called(model: &StoredModel, word: &str) -> bool {
    let word = word.strip_prefix("sha256:").unwrap_or(word);
    let stem = model.file.strip_suffix(".gguf").unwrap_or(&model.file);
    [&model.name, model.file.as_str(), stem, &model.digest]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(word))
}

fn begins_with(model: &StoredModel, word: &str) -> bool {
    let word = word.strip_prefix("sha256:").unwrap_or(word).to_ascii_lowercase();
    let starts = |name: &str| name.to_ascii_lowercase().starts_with(&word);
    let digest = word.len() >= MIN_PREFIX_LEN && model.digest.starts_with(&word);
    !word.is_empty() && (digest || starts(&model.name) || starts(&model.file))
}

fn known(models: &[StoredModel]) -> String {
    if models.is_empty() {
        return "it is empty; `realm download` fills it".into();
    }
    format!("it holds {}", name_all(&models.iter().collect::<Vec<_>>()))
}

fn name_all(models: &[&StoredModel]) -> String {
    let mut names: Vec<_> = models
        .iter()
        .take(MAX_NAMED)
        .map(|model| {
            format!("{} ({})", model.name, model.digest.chars().take(12).collect::<String>())
        })
        .collect();
    if models.len() > MAX_NAMED {
        names.push(format!("and {} more", models.len() - MAX_NAMED));
    }
    names.join(", ")
}
