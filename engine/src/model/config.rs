//! The sizes of a llama-family model, from its metadata, each checked.

use super::error::ModelError;
use crate::gguf::Metadata;

/// Architectures that are known.
pub const SUPPORTED_ARCHITECTURES: [&str; 1] = ["llama"];

/// Most blocks, heads and numbers of an embedding that are believed.
const MAX_LAYERS: usize = 1024;
const MAX_HEADS: usize = 1024;
const MAX_WIDTH: usize = 1 << 20;
const MAX_CONTEXT: usize = 1 << 30;

/// Sizes of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Transformer blocks.
    pub layers: usize,
    /// Numbers of a token's state.
    pub embedding: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers of a head.
    pub head_dim: usize,
    /// Numbers inside the feed-forward network.
    pub feed_forward: usize,
    /// Tokens that the model was trained to hold.
    pub context_length: usize,
    /// Added to the mean square before its root.
    pub norm_epsilon: f32,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Numbers of a head that turn.
    pub rope_dimensions: usize,
    /// Positions are divided by this.
    pub rope_scale: f32,
}

/// The architecture that a file names, when it is known.
pub fn architecture(metadata: &Metadata) -> Result<&str, ModelError> {
    let found = metadata.string("general.architecture")?;
    if SUPPORTED_ARCHITECTURES.contains(&found) {
        return Ok(found);
    }
    let supported = SUPPORTED_ARCHITECTURES.join(", ");
    Err(ModelError::UnsupportedArchitecture { found: found.to_owned(), supported })
}

impl Config {
    /// Reads and checks the sizes of a llama-family file.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self, ModelError> {
        let keys = Keys { metadata, prefix: architecture(metadata)? };
        keys.refuse_experts()?;
        let heads = keys.size("attention.head_count", MAX_HEADS)?;
        let embedding = keys.size("embedding_length", MAX_WIDTH)?;
        let head_dim = keys.head_dim(embedding, heads)?;
        Ok(Self {
            layers: keys.size("block_count", MAX_LAYERS)?,
            embedding,
            heads,
            kv_heads: keys.kv_heads(heads)?,
            head_dim,
            feed_forward: keys.size("feed_forward_length", MAX_WIDTH)?,
            context_length: keys.size("context_length", MAX_CONTEXT)?,
            norm_epsilon: keys.positive("attention.layer_norm_rms_epsilon", None)?,
            rope_base: keys.positive("rope.freq_base", Some(10_000.0))?,
            rope_dimensions: keys.rope_dimensions(head_dim)?,
            rope_scale: keys.rope_scale()?,
        })
    }

    /// Numbers of all query heads of a token.
    pub fn query_len(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Numbers of all key heads of a token.
    pub fn kv_len(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// Metadata keys under the architecture's name.
struct Keys<'m> {
    metadata: &'m Metadata,
    prefix: &'m str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn size(&self, key: &str, limit: usize) -> Result<usize, ModelError> {
        let key = self.name(key);
        in_range(self.metadata.u32(&key)? as usize, limit, key)
    }

    fn size_or(&self, key: &str, limit: usize, default: usize) -> Result<usize, ModelError> {
        let key = self.name(key);
        let size = self.metadata.optional_u32(&key)?.map_or(default, |size| size as usize);
        in_range(size, limit, key)
    }

    fn positive(&self, key: &str, default: Option<f32>) -> Result<f32, ModelError> {
        let key = self.name(key);
        let number = match (self.metadata.optional_f32(&key)?, default) {
            (Some(number), _) => number,
            (None, Some(default)) => default,
            (None, None) => self.metadata.f32(&key)?,
        };
        if number.is_finite() && number > 0.0 {
            return Ok(number);
        }
        Err(ModelError::BadSize {
            key,
            found: number.to_string(),
            needed: "a finite number above 0".to_owned(),
        })
    }

    fn head_dim(&self, embedding: usize, heads: usize) -> Result<usize, ModelError> {
        let head_dim = self.size_or("attention.key_length", MAX_WIDTH, embedding / heads)?;
        let values = self.size_or("attention.value_length", MAX_WIDTH, head_dim)?;
        let key = || self.name("attention.value_length");
        if values != head_dim {
            let needed = format!("{head_dim}, as attention.key_length");
            return Err(ModelError::BadSize { key: key(), found: values.to_string(), needed });
        }
        let width = head_dim.checked_mul(heads).filter(|&width| width <= MAX_WIDTH);
        if width.is_none() || !head_dim.is_multiple_of(2) {
            let needed = format!("even, and at most {MAX_WIDTH} over {heads} heads");
            return Err(ModelError::BadSize { key: key(), found: head_dim.to_string(), needed });
        }
        Ok(head_dim)
    }

    fn kv_heads(&self, heads: usize) -> Result<usize, ModelError> {
        let kv_heads = self.size_or("attention.head_count_kv", MAX_HEADS, heads)?;
        if heads.is_multiple_of(kv_heads) {
            return Ok(kv_heads);
        }
        let (key, needed) = (self.name("attention.head_count_kv"), format!("a divisor of {heads}"));
        Err(ModelError::BadSize { key, found: kv_heads.to_string(), needed })
    }

    fn rope_dimensions(&self, head_dim: usize) -> Result<usize, ModelError> {
        let dimensions = self.size_or("rope.dimension_count", head_dim, head_dim)?;
        if dimensions.is_multiple_of(2) {
            return Ok(dimensions);
        }
        let key = self.name("rope.dimension_count");
        Err(ModelError::BadSize { key, found: dimensions.to_string(), needed: "even".to_owned() })
    }

    /// Linear scaling only; other kinds change more than the positions.
    fn rope_scale(&self) -> Result<f32, ModelError> {
        let key = self.name("rope.scaling.type");
        match self.metadata.optional_string(&key)? {
            None | Some("none") => Ok(1.0),
            Some("linear") => self.positive("rope.scaling.factor", Some(1.0)),
            Some(found) => Err(ModelError::UnsupportedFeature {
                key,
                found: found.to_owned(),
                supported: "none, linear",
            }),
        }
    }

    fn refuse_experts(&self) -> Result<(), ModelError> {
        let key = self.name("expert_count");
        match self.metadata.optional_u32(&key)? {
            None | Some(0) => Ok(()),
            Some(experts) => {
                let supported = "0: models without a mixture of experts";
                Err(ModelError::UnsupportedFeature { key, found: experts.to_string(), supported })
            }
        }
    }
}

fn in_range(size: usize, limit: usize, key: String) -> Result<usize, ModelError> {
    if (1..=limit).contains(&size) {
        return Ok(size);
    }
    Err(ModelError::BadSize { key, found: size.to_string(), needed: format!("1 to {limit}") })
}
