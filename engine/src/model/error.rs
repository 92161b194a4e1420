//! Why a model file is refused.

use crate::{gguf::MetadataError, weights::WeightError};

/// Why a model file is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// `general.architecture` is not one that is known.
    #[error("model architecture \"{found}\" is not supported; supported: {supported}")]
    UnsupportedArchitecture {
        /// What the file names.
        found: String,
        /// What is known.
        supported: String,
    },
    /// The file asks for something that this family can have and that is not known here.
    #[error("metadata key \"{key}\" is {found}, which is not supported; supported: {supported}")]
    UnsupportedFeature {
        /// Metadata key.
        key: String,
        /// Its value.
        found: String,
        /// What is known.
        supported: &'static str,
    },
    /// A size cannot be right.
    #[error("metadata key \"{key}\" is {found}; it must be {needed}. Convert the model again")]
    BadSize {
        /// Metadata key.
        key: String,
        /// Its value.
        found: String,
        /// What is accepted.
        needed: String,
    },
    /// The file holds a tensor that the transformer would not use: its results would be wrong.
    #[error(
        "tensor \"{tensor}\" is not part of a {architecture} model as known here; the model needs a newer engine"
    )]
    UnknownTensor {
        /// Its name.
        tensor: String,
        /// The architecture.
        architecture: String,
    },
    /// A key is missing or has the wrong type.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A tensor is missing or has the wrong shape.
    #[error(transparent)]
    Weight(#[from] WeightError),
}
