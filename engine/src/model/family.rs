//! The families of models that are known, one row each: what the name of an architecture says and the metadata do not.

use crate::ops::rope::Pairing;

/// What a family does that its files do not say.
#[derive(Debug, PartialEq)]
pub(super) struct Family {
    /// `general.architecture`.
    pub(super) name: &'static str,
    /// Whether it generates or embeds.
    pub(super) task: Task,
    /// Which numbers of a head turn together.
    pub(super) pairing: Pairing,
    /// The gate of the feed-forward network.
    pub(super) activation: Activation,
    /// Each head of queries and keys is normalised.
    pub(super) head_norms: bool,
    /// What attention and the feed-forward network give is normalised before it is added.
    pub(super) post_norms: bool,
    /// Gate and up are one matrix, `ffn_up`.
    pub(super) fused_gate: bool,
    /// Embeddings are multiplied by the root of their size.
    pub(super) scaled_embeddings: bool,
    /// Whether there may or must be a mixture of experts.
    pub(super) experts: Experts,
    /// Which blocks look back only so far.
    pub(super) windows: Windows,
    /// Factors on the rotary frequencies.
    pub(super) factors: Factors,
    /// Every so manieth block does not turn its heads; 0: all do.
    pub(super) unturned_every: usize,
    /// Soft caps that hold when the metadata name none, of attention and of logits.
    pub(super) soft_caps: Option<(f32, f32)>,
    /// Models of so many blocks scale their queries by the embedding's share of a head, not by the head's size.
    pub(super) wide_query_layers: Option<usize>,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// It continues text (and may embed it).
    Generate,
    /// It turns text into a vector; it has no logits.
    Embed,
}

/// The function inside a feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`, gated.
    Silu,
    /// Gelu by its approximation with a hyperbolic tangent, gated.
    GeluTanh,
    /// Gelu by the error function, without a gate.
    PlainGelu,
}

/// Whether a feed-forward network is a mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Experts {
    Never,
    Maybe,
    Always,
}

/// Which blocks look back only so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Windows {
    /// None; a file that names a window is refused.
    Never,
    /// All, when the file names a window.
    Everywhere,
    /// All but every so manieth; the window when the file names none.
    AllBut {
        every: usize,
        default: Option<usize>,
        /// Base of the rotary frequencies of these blocks when they have one of their own.
        rope_base: Option<f32>,
    },
}

/// Which tensors hold factors on the rotary frequencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Factors {
    /// None.
    None,
    /// `rope_freqs.weight` (llama 3.1).
    One,
    /// `rope_factors_long.weight` past the original context, else `rope_factors_short.weight` (longrope).
    ShortAndLong,
}

/// A plain decoder; the others are told by what they do differently.
const PLAIN: Family = Family {
    name: "",
    task: Task::Generate,
    pairing: Pairing::Halves,
    activation: Activation::Silu,
    head_norms: false,
    post_norms: false,
    fused_gate: false,
    scaled_embeddings: false,
    experts: Experts::Never,
    windows: Windows::Never,
    factors: Factors::None,
    unturned_every: 0,
    soft_caps: None,
    wide_query_layers: None,
};

const GEMMA: Family =
    Family { name: "gemma", activation: Activation::GeluTanh, scaled_embeddings: true, ..PLAIN };

/// All that is known.
static FAMILIES: [Family; 11] = [
    Family {
        name: "llama",
        pairing: Pairing::Neighbours,
        experts: Experts::Maybe,
        windows: Windows::Everywhere,
        factors: Factors::One,
        ..PLAIN
    },
    Family { name: "qwen2", ..PLAIN },
    Family { name: "qwen3", head_norms: true, ..PLAIN },
    Family { name: "qwen3moe", head_norms: true, experts: Experts::Always, ..PLAIN },
    GEMMA,
    Family {
        name: "gemma2",
        post_norms: true,
        windows: Windows::AllBut { every: 2, default: Some(4096), rope_base: None },
        soft_caps: Some((50.0, 30.0)),
        wide_query_layers: Some(46),
        ..GEMMA
    },
    Family {
        name: "gemma3",
        head_norms: true,
        post_norms: true,
        windows: Windows::AllBut { every: 6, default: None, rope_base: Some(10_000.0) },
        wide_query_layers: Some(62),
        ..GEMMA
    },
    Family {
        name: "phi3",
        fused_gate: true,
        windows: Windows::Everywhere,
        factors: Factors::ShortAndLong,
        ..PLAIN
    },
    Family { name: "smollm3", pairing: Pairing::Neighbours, unturned_every: 4, ..PLAIN },
    Family { name: "bert", task: Task::Embed, activation: Activation::PlainGelu, ..PLAIN },
    Family { name: "nomic-bert", task: Task::Embed, ..PLAIN },
];

impl Family {
    /// The family of that name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// All names, for messages.
    pub(super) fn names() -> String {
        FAMILIES.iter().map(|family| family.name).collect::<Vec<_>>().join(", ")
    }
}
