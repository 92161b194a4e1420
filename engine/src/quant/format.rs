//! The names and sizes of the block formats.

/// How the weights of a tensor are stored: a row is a sequence of blocks of equal size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(non_camel_case_types, reason = "the formats are known by these names everywhere")]
#[expect(missing_docs, reason = "each format is described in its own file")]
pub enum BlockFormat {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Q8_K,
}

impl BlockFormat {
    /// Every format, in the order of the enum.
    pub const ALL: [Self; 15] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q8_1,
        Self::Q2_K,
        Self::Q3_K,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
        Self::Q8_K,
    ];

    /// The format of ggml's type number.
    pub fn from_ggml_type(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.ggml_type() == number)
    }

    /// ggml's type number, as it stands in GGUF files.
    pub fn ggml_type(self) -> u32 {
        self.layout().0
    }

    /// The usual name, such as `Q4_K`.
    pub fn name(self) -> &'static str {
        self.layout().1
    }

    /// Weights in a block.
    pub fn block_len(self) -> usize {
        self.layout().2
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.layout().3
    }

    /// Bytes of a row of `weights`, or `None` when they do not divide into blocks or the size does not fit.
    pub fn row_bytes(self, weights: usize) -> Option<usize> {
        if !weights.is_multiple_of(self.block_len()) {
            return None;
        }
        (weights / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Number, name, weights in a block, bytes of a block.
    const fn layout(self) -> (u32, &'static str, usize, usize) {
        match self {
            Self::F32 => (0, "F32", 1, 4),
            Self::F16 => (1, "F16", 1, 2),
            Self::BF16 => (30, "BF16", 1, 2),
            Self::Q4_0 => (2, "Q4_0", 32, 18),
            Self::Q4_1 => (3, "Q4_1", 32, 20),
            Self::Q5_0 => (6, "Q5_0", 32, 22),
            Self::Q5_1 => (7, "Q5_1", 32, 24),
            Self::Q8_0 => (8, "Q8_0", 32, 34),
            Self::Q8_1 => (9, "Q8_1", 32, 36),
            Self::Q2_K => (10, "Q2_K", 256, 84),
            Self::Q3_K => (11, "Q3_K", 256, 110),
            Self::Q4_K => (12, "Q4_K", 256, 144),
            Self::Q5_K => (13, "Q5_K", 256, 176),
            Self::Q6_K => (14, "Q6_K", 256, 210),
            Self::Q8_K => (15, "Q8_K", 256, 292),
        }
    }
}

/// ggml's name of a type number, also of types that cannot be read here; `unknown` when ggml has none.
pub fn ggml_type_name(number: u32) -> &'static str {
    if let Some(format) = BlockFormat::from_ggml_type(number) {
        return format.name();
    }
    match number {
        4 => "Q4_2, removed from ggml",
        5 => "Q4_3, removed from ggml",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        31..=33 => "repacked Q4_0, removed from GGUF",
        34 => "TQ1_0",
        35 => "TQ2_0",
        36..=38 => "repacked IQ4_NL, removed from GGUF",
        39 => "MXFP4",
        40 => "NVFP4",
        41 => "Q1_0",
        _ => "unknown",
    }
}
