//! Metadata keys under an architecture's name, each value checked against what can be believed.

use super::error::ModelError;
use crate::gguf::Metadata;

/// Most tokens of a context that are believed.
pub(super) const MAX_CONTEXT: usize = 1 << 30;

/// Metadata keys under the architecture's name.
pub(super) struct Keys<'m> {
    pub(super) metadata: &'m Metadata,
    pub(super) prefix: &'m str,
}

impl Keys<'_> {
    /// The whole key.
    pub(super) fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    /// 1 to `limit`.
    pub(super) fn size(&self, key: &str, limit: usize) -> Result<usize, ModelError> {
        let key = self.name(key);
        in_range(self.metadata.u32(&key)? as usize, limit, key)
    }

    /// 1 to `limit`, or `default`.
    pub(super) fn size_or(
        &self,
        key: &str,
        limit: usize,
        default: usize,
    ) -> Result<usize, ModelError> {
        match self.count(key)? {
            Some(size) => in_range(size, limit, self.name(key)),
            None => in_range(default, limit, self.name(key)),
        }
    }

    /// Any number, if there is one.
    pub(super) fn count(&self, key: &str) -> Result<Option<usize>, ModelError> {
        let count = self.metadata.optional_u32(&self.name(key))?;
        Ok(count.map(|count| count as usize))
    }

    /// A finite number above 0, if there is one.
    pub(super) fn positive(&self, key: &str) -> Result<Option<f32>, ModelError> {
        let key = self.name(key);
        match self.metadata.optional_f32(&key)? {
            Some(number) if !(number.is_finite() && number > 0.0) => {
                let needed = "a finite number above 0".to_owned();
                Err(ModelError::BadSize { key, found: number.to_string(), needed })
            }
            number => Ok(number),
        }
    }

    /// A finite number above 0.
    pub(super) fn positive_or(&self, key: &str, default: f32) -> Result<f32, ModelError> {
        Ok(self.positive(key)?.unwrap_or(default))
    }

    /// A finite number above 0 that must be there.
    pub(super) fn required_positive(&self, key: &str) -> Result<f32, ModelError> {
        match self.positive(key)? {
            Some(number) => Ok(number),
            None => Ok(self.metadata.f32(&self.name(key))?),
        }
    }

    /// A finite number, 0 standing for "off", or none.
    pub(super) fn optional_cap(&self, key: &str) -> Result<Option<f32>, ModelError> {
        match self.metadata.optional_f32(&self.name(key))? {
            Some(0.0) => Ok(Some(0.0)),
            _ => self.positive(key),
        }
    }

    /// Tokens that the model was first trained for.
    pub(super) fn original_context(&self, context_length: usize) -> Result<usize, ModelError> {
        self.size_or("rope.scaling.original_context_length", MAX_CONTEXT, context_length)
    }

    /// The error for a value that a family can have and that is not known here.
    pub(super) fn unsupported(
        &self,
        key: &str,
        found: &impl ToString,
        supported: &'static str,
    ) -> ModelError {
        ModelError::UnsupportedFeature { key: self.name(key), found: found.to_string(), supported }
    }
}

/// 1 to `limit`.
pub(super) fn in_range(size: usize, limit: usize, key: String) -> Result<usize, ModelError> {
    if (1..=limit).contains(&size) {
        return Ok(size);
    }
    Err(ModelError::BadSize { key, found: size.to_string(), needed: format!("1 to {limit}") })
}
