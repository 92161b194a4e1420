//! How fast heads turn, from the metadata: bases, dimensions and the kinds of scaling.

use super::{
    error::ModelError,
    family::{Factors, Family, Task},
    keys::Keys,
};
use crate::ops::rope::{RopeSpec, Yarn};

/// Base of the rotary frequencies when a file names none.
const DEFAULT_BASE: f32 = 10_000.0;
/// Turns inside the original context between which yarn fades, when a file names none.
const YARN_FAST: f32 = 32.0;
const YARN_SLOW: f32 = 1.0;
/// The name of the only encoder whose positions are learned.
const LEARNED_POSITIONS: &str = "bert";

/// How the heads of a model turn, if they do, and which tensors slow single pairs down.
pub(super) fn rope_spec(
    keys: &Keys<'_>,
    family: &Family,
    head_dim: usize,
    context_length: usize,
) -> Result<(Option<RopeSpec>, Factors), ModelError> {
    if family.task == Task::Embed && family.name == LEARNED_POSITIONS {
        return Ok((None, Factors::None));
    }
    let kind = Scaling::read(keys)?;
    let scale = match kind {
        Scaling::None => 1.0,
        Scaling::Linear | Scaling::Yarn | Scaling::Long => keys.rope_factor()?,
    };
    let own_magnitude = keys.positive_or("rope.scaling.attn_factor", 1.0)?;
    let magnitude = match kind {
        Scaling::Yarn => own_magnitude * (1.0 + 0.1 * scale.max(1.0).ln()),
        _ => own_magnitude,
    };
    let yarn = match kind {
        Scaling::Yarn => Some(Yarn {
            original_context: keys.original_context(context_length)?,
            beta_fast: keys.positive_or("rope.scaling.yarn_beta_fast", YARN_FAST)?,
            beta_slow: keys.positive_or("rope.scaling.yarn_beta_slow", YARN_SLOW)?,
        }),
        _ => None,
    };
    let spec = RopeSpec {
        base: keys.positive_or("rope.freq_base", DEFAULT_BASE)?,
        dimensions: keys.rope_dimensions(head_dim)?,
        pairing: family.pairing,
        scale,
        yarn,
        magnitude,
    };
    let factors = match kind {
        Scaling::Long if family.factors == Factors::One => Factors::ShortAndLong,
        _ => family.factors,
    };
    Ok((Some(spec), factors))
}

/// `rope.scaling.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scaling {
    None,
    Linear,
    Yarn,
    Long,
}

impl Scaling {
    fn read(keys: &Keys<'_>) -> Result<Self, ModelError> {
        let key = "rope.scaling.type";
        match keys.metadata.optional_string(&keys.name(key))? {
            Some("none") => Ok(Self::None),
            None | Some("linear") => Ok(Self::Linear),
            Some("yarn") => Ok(Self::Yarn),
            Some("longrope") => Ok(Self::Long),
            Some(found) => Err(keys.unsupported(key, &found, "none, linear, yarn, longrope")),
        }
    }
}

impl Keys<'_> {
    /// What positions are divided by; 0 in a file stands for 1.
    fn rope_factor(&self) -> Result<f32, ModelError> {
        let factor = match self.optional_cap("rope.scaling.factor")? {
            Some(factor) => Some(factor),
            None => self.optional_cap("rope.scale_linear")?,
        };
        Ok(factor.filter(|&factor| factor > 0.0).unwrap_or(1.0))
    }

    fn rope_dimensions(&self, head_dim: usize) -> Result<usize, ModelError> {
        let dimensions = self.size_or("rope.dimension_count", head_dim, head_dim)?;
        if dimensions.is_multiple_of(2) {
            return Ok(dimensions);
        }
        let key = self.name("rope.dimension_count");
        Err(ModelError::BadSize { key, found: dimensions.to_string(), needed: "even".to_owned() })
    }
}
