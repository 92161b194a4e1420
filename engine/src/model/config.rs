//! The sizes of a model and what each of its blocks does, from its metadata, each checked.

use super::{
    error::ModelError,
    family::{Activation, Experts, Factors, Family, Task, Windows},
    keys::{Keys, MAX_CONTEXT},
    rope_spec::rope_spec,
};
use crate::{
    gguf::{Array, Metadata, Value},
    ops::rope::RopeSpec,
};

/// Most blocks, heads, experts and numbers of an embedding that are believed.
const MAX_LAYERS: usize = 1024;
const MAX_HEADS: usize = 1024;
const MAX_EXPERTS: usize = 1024;
const MAX_WIDTH: usize = 1 << 20;
/// The number that stands for a softmax over all experts in `expert_gating_func`.
const SOFTMAX_ROUTER: usize = 1;

/// Sizes of a model and what its blocks do.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whether it generates or embeds.
    pub task: Task,
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
    /// A mixture of experts instead of one feed-forward network.
    pub experts: Option<ExpertConfig>,
    /// The function inside the feed-forward network.
    pub activation: Activation,
    /// Tokens that the model was trained to hold.
    pub context_length: usize,
    /// Tokens that it was first trained for, before its rotary frequencies were scaled.
    pub original_context: usize,
    /// Added to the mean square (or the variance) before its root.
    pub norm_epsilon: f32,
    /// Embeddings are multiplied by this.
    pub embedding_scale: f32,
    /// Scores of attention are multiplied by this.
    pub attention_scale: f32,
    /// Scores are bent below this; 0 is off.
    pub attention_cap: f32,
    /// Logits are bent below this; 0 is off.
    pub logit_cap: f32,
    /// How heads turn; blocks name one of these.
    pub ropes: Vec<RopeSpec>,
    /// What differs from block to block.
    pub blocks: Vec<BlockConfig>,
    /// How the states of a text become one vector.
    pub pooling: Pooling,
    pub(super) family: &'static Family,
    pub(super) factors: Factors,
}

/// What differs from block to block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockConfig {
    /// Tokens that a token sees, itself among them; 0: all before it.
    pub window: usize,
    /// Which of the model's ropes turns its heads.
    pub rope: Option<usize>,
}

/// A mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertConfig {
    /// Experts of a block.
    pub count: usize,
    /// How many of them a token is sent to.
    pub used: usize,
    /// Numbers inside one.
    pub feed_forward: usize,
    /// Their shares are multiplied by this.
    pub scale: f32,
}

/// How the states of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first token's.
    First,
    /// The last token's.
    Last,
}

/// The family of the architecture that a file names, when it is known.
fn family(metadata: &Metadata) -> Result<&'static Family, ModelError> {
    let found = metadata.string("general.architecture")?;
    Family::find(found).ok_or_else(|| {
        let supported = Family::names();
        ModelError::UnsupportedArchitecture { found: found.to_owned(), supported }
    })
}

impl Config {
    /// Reads and checks what a file says.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self, ModelError> {
        let family = family(metadata)?;
        let keys = Keys { metadata, prefix: family.name };
        keys.refuse_unknown_features()?;
        let heads = keys.size("attention.head_count", MAX_HEADS)?;
        let embedding = keys.size("embedding_length", MAX_WIDTH)?;
        let head_dim = keys.head_dim(embedding, heads)?;
        let layers = keys.size("block_count", MAX_LAYERS)?;
        let context_length = keys.size("context_length", MAX_CONTEXT)?;
        let feed_forward = keys.size("feed_forward_length", MAX_WIDTH)?;
        let (attention_cap, logit_cap) = keys.soft_caps(family)?;
        let (rope, factors) = rope_spec(&keys, family, head_dim, context_length)?;
        let (ropes, blocks) = keys.blocks(family, layers, rope, context_length)?;
        Ok(Self {
            task: family.task,
            layers,
            embedding,
            heads,
            kv_heads: keys.kv_heads(heads)?,
            head_dim,
            feed_forward,
            experts: keys.experts(family, feed_forward)?,
            activation: family.activation,
            context_length,
            original_context: keys.original_context(context_length)?,
            norm_epsilon: keys.norm_epsilon(family)?,
            embedding_scale: if family.scaled_embeddings { (embedding as f32).sqrt() } else { 1.0 },
            attention_scale: attention_scale(family, layers, embedding / heads, head_dim),
            attention_cap,
            logit_cap,
            ropes,
            blocks,
            pooling: keys.pooling(family)?,
            family,
            factors,
        })
    }

    /// `general.architecture`.
    pub fn architecture(&self) -> &'static str {
        self.family.name
    }

    /// Each head of queries and keys is normalised.
    pub(super) fn head_norms(&self) -> bool {
        self.family.head_norms
    }

    /// What a block adds is normalised before.
    pub(super) fn post_norms(&self) -> bool {
        self.family.post_norms
    }

    /// Gate and up are one matrix.
    pub(super) fn fused_gate(&self) -> bool {
        self.family.fused_gate
    }

    /// Numbers of all query heads of a token.
    pub fn query_len(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Numbers of all key heads of a token.
    pub fn kv_len(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Layers whose keys and values outlive a step. An encoder reads those of one layer at a time.
    pub fn kv_layers(&self) -> usize {
        match self.task {
            Task::Generate => self.layers,
            Task::Embed => 1,
        }
    }
}

/// One over the root of the head's size, or of the embedding's share of a head in the largest Gemmas.
fn attention_scale(family: &Family, layers: usize, share: usize, head_dim: usize) -> f32 {
    let size = if family.wide_query_layers == Some(layers) { share } else { head_dim };
    1.0 / (size as f32).sqrt()
}

impl Keys<'_> {
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

    fn norm_epsilon(&self, family: &Family) -> Result<f32, ModelError> {
        match family.task {
            Task::Generate => self.required_positive("attention.layer_norm_rms_epsilon"),
            Task::Embed => self.required_positive("attention.layer_norm_epsilon"),
        }
    }

    /// Of attention and of logits.
    fn soft_caps(&self, family: &Family) -> Result<(f32, f32), ModelError> {
        let attention = self.optional_cap("attn_logit_softcapping")?;
        let logits = self.optional_cap("final_logit_softcapping")?;
        let (attention_default, logit_default) = family.soft_caps.unwrap_or_default();
        Ok((attention.unwrap_or(attention_default), logits.unwrap_or(logit_default)))
    }

    fn pooling(&self, family: &Family) -> Result<Pooling, ModelError> {
        match (self.count("pooling_type")?, family.task) {
            (None | Some(0), Task::Embed) | (Some(1), _) => Ok(Pooling::Mean),
            (Some(2), _) => Ok(Pooling::First),
            (None | Some(0), Task::Generate) | (Some(3), _) => Ok(Pooling::Last),
            (Some(found), _) => Err(self.unsupported(
                "pooling_type",
                &found,
                "0 (none), 1 (mean), 2 (cls), 3 (last)",
            )),
        }
    }

    fn experts(
        &self,
        family: &Family,
        feed_forward: usize,
    ) -> Result<Option<ExpertConfig>, ModelError> {
        let count = match (self.count("expert_count")?, family.experts) {
            (None | Some(0), Experts::Never | Experts::Maybe) => return Ok(None),
            (Some(found), Experts::Never) => {
                let supported = "0: models without a mixture of experts";
                return Err(self.unsupported("expert_count", &found, supported));
            }
            (_, Experts::Maybe | Experts::Always) => self.size("expert_count", MAX_EXPERTS)?,
        };
        let router = self.count("expert_gating_func")?.unwrap_or(SOFTMAX_ROUTER);
        if router > SOFTMAX_ROUTER {
            return Err(self.unsupported("expert_gating_func", &router, "1 (softmax)"));
        }
        let scale = self.optional_cap("expert_weights_scale")?.filter(|&scale| scale > 0.0);
        Ok(Some(ExpertConfig {
            count,
            used: self.size("expert_used_count", count)?,
            feed_forward: self.size_or("expert_feed_forward_length", MAX_WIDTH, feed_forward)?,
            scale: scale.unwrap_or(1.0),
        }))
    }

    /// Windows and ropes, block by block.
    fn blocks(
        &self,
        family: &Family,
        layers: usize,
        rope: Option<RopeSpec>,
        context_length: usize,
    ) -> Result<(Vec<RopeSpec>, Vec<BlockConfig>), ModelError> {
        let window = self.window(family, context_length)?;
        let windowed = self.windowed(family, layers)?;
        let mut ropes: Vec<RopeSpec> = rope.into_iter().collect();
        let near = self.windowed_rope(family, &mut ropes)?;
        let unturned = |layer: usize| {
            family.unturned_every > 0 && (layer + 1).is_multiple_of(family.unturned_every)
        };
        let blocks = windowed.into_iter().enumerate().map(|(layer, windowed)| {
            let windowed = windowed && window > 0;
            BlockConfig {
                window: if windowed { window } else { 0 },
                rope: if windowed { near } else { Some(0) }
                    .filter(|&rope| rope < ropes.len() && !unturned(layer)),
            }
        });
        let blocks = blocks.collect();
        Ok((ropes, blocks))
    }

    /// Tokens that the blocks with a window see; 0 when there are none.
    fn window(&self, family: &Family, context_length: usize) -> Result<usize, ModelError> {
        let found = self.count("attention.sliding_window")?;
        match (family.windows, found.unwrap_or(0)) {
            (Windows::Never, window) if (1..context_length).contains(&window) => {
                let supported = "0: all tokens of the context";
                Err(self.unsupported("attention.sliding_window", &window, supported))
            }
            (Windows::Never, _) => Ok(0),
            (Windows::Everywhere, window) => Ok(window),
            (Windows::AllBut { default, .. }, _) => Ok(found.or(default).unwrap_or(0)),
        }
    }

    /// Which blocks have the window.
    fn windowed(&self, family: &Family, layers: usize) -> Result<Vec<bool>, ModelError> {
        let every = match family.windows {
            Windows::Never => return Ok(vec![false; layers]),
            Windows::Everywhere => return Ok(vec![true; layers]),
            Windows::AllBut { every, .. } => every,
        };
        let key = "attention.sliding_window_pattern";
        if let Some(Value::Array(Array::Bool(pattern))) = self.metadata.get(&self.name(key)) {
            if pattern.len() < layers {
                let needed = format!("a flag for each of {layers} blocks");
                let found = format!("{} flags", pattern.len());
                return Err(ModelError::BadSize { key: self.name(key), found, needed });
            }
            return Ok(pattern[..layers].to_vec());
        }
        let every = self.count(key)?.unwrap_or(every);
        Ok((0..layers).map(|layer| every == 0 || layer % every < every - 1).collect())
    }

    /// The rope of the blocks with a window: their own where the family has one, else the rope of all.
    fn windowed_rope(
        &self,
        family: &Family,
        ropes: &mut Vec<RopeSpec>,
    ) -> Result<Option<usize>, ModelError> {
        let Windows::AllBut { rope_base: Some(base), .. } = family.windows else {
            return Ok(Some(0));
        };
        let Some(&rope) = ropes.first() else { return Ok(None) };
        let base = self.positive_or("rope.freq_base_swa", base)?;
        ropes.push(RopeSpec { base, scale: 1.0, yarn: None, ..rope });
        Ok(Some(1))
    }

    /// Keys that change what a model computes and that no family here has.
    fn refuse_unknown_features(&self) -> Result<(), ModelError> {
        const NUMBERS: [&str; 9] = [
            "attention.scale",
            "attention.clamp_kqv",
            "attention.max_alibi_bias",
            "attention.temperature_scale",
            "logit_scale",
            "residual_scale",
            "embedding_scale",
            "rope.scaling.yarn_log_multiplier",
            "rope.scaling.alpha",
        ];
        const COUNTS: [&str; 5] = [
            "expert_shared_count",
            "expert_shared_feed_forward_length",
            "expert_group_count",
            "leading_dense_block_count",
            "nextn_predict_layers",
        ];
        for key in NUMBERS {
            let number = self.metadata.optional_f32(&self.name(key))?;
            if let Some(found) = number.filter(|&number| number != 0.0) {
                return Err(self.unsupported(key, &found, "models without it"));
            }
        }
        for key in COUNTS {
            if let Some(found) = self.count(key)?.filter(|&count| count != 0) {
                return Err(self.unsupported(key, &found, "0"));
            }
        }
        Ok(())
    }
}
