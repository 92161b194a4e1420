//! Builds the Secret of a generated API key. Its one input beside the spec is randomness from the operating system.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use realm_crds::{names, realm_model::SecretKey};

use crate::resources::Owner;

/// Bytes of randomness in a key: 256 bits.
const KEY_BYTES: usize = 32;

/// Why a key could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The operating system gave no randomness.
    #[error("failed to get randomness for an API key: {0}")]
    Random(String),
}

/// A Secret with a new random key.
pub fn api_key_secret(owner: &Owner, place: &SecretKey) -> Result<Secret, BuildError> {
    let mut bytes = [0_u8; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| BuildError::Random(error.to_string()))?;
    let key = format!("{}{}", names::GENERATED_KEY_PREFIX, hex::encode(bytes));
    Ok(Secret {
        metadata: owner.child(&place.name),
        data: Some([(place.key.clone(), ByteString(key.into_bytes()))].into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}
