//! The sizes of well-known models of the llama family.

/// Sizes of a model; the vocabulary comes with the tokenizer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// The name that chooses it.
    pub(crate) name: &'static str,
    /// Transformer blocks.
    pub(crate) layers: usize,
    /// Numbers of a token's state.
    pub(crate) embedding: usize,
    /// Heads of queries.
    pub(crate) heads: usize,
    /// Heads of keys and values.
    pub(crate) kv_heads: usize,
    /// Numbers inside the feed-forward network.
    pub(crate) feed_forward: usize,
    /// Tokens of a sequence.
    pub(crate) context: usize,
    /// Base of the rotary frequencies.
    pub(crate) rope_base: f32,
    /// Whether the token embedding is the output matrix as well.
    pub(crate) tied: bool,
}

impl Shape {
    /// Numbers of a head.
    pub(crate) fn head_dim(&self) -> usize {
        self.embedding / self.heads
    }

    /// Numbers of all key heads of a token.
    pub(crate) fn kv_len(&self) -> usize {
        self.kv_heads * self.head_dim()
    }
}

const SHAPES: [Shape; 5] = [
    // For tests: small, with every part and whole 256-weight blocks.
    Shape {
        name: "tiny",
        layers: 4,
        embedding: 256,
        heads: 4,
        kv_heads: 2,
        feed_forward: 512,
        context: 256,
        rope_base: 10_000.0,
        tied: false,
    },
    Shape {
        name: "smollm2-135m",
        layers: 30,
        embedding: 576,
        heads: 9,
        kv_heads: 3,
        feed_forward: 1536,
        context: 8192,
        rope_base: 100_000.0,
        tied: true,
    },
    Shape {
        name: "tinyllama-1.1b",
        layers: 22,
        embedding: 2048,
        heads: 32,
        kv_heads: 4,
        feed_forward: 5632,
        context: 2048,
        rope_base: 10_000.0,
        tied: false,
    },
    Shape {
        name: "llama-3.2-3b",
        layers: 28,
        embedding: 3072,
        heads: 24,
        kv_heads: 8,
        feed_forward: 8192,
        context: 131_072,
        rope_base: 500_000.0,
        tied: true,
    },
    Shape {
        name: "llama-2-7b",
        layers: 32,
        embedding: 4096,
        heads: 32,
        kv_heads: 32,
        feed_forward: 11_008,
        context: 4096,
        rope_base: 10_000.0,
        tied: false,
    },
];

/// The shape of that name.
pub(crate) fn find(name: &str) -> Option<Shape> {
    SHAPES.into_iter().find(|shape| shape.name == name)
}

/// All names, for messages.
pub(crate) fn names() -> String {
    SHAPES.map(|shape| shape.name).join(", ")
}
