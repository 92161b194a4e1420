//! What one vocabulary entry is. Names only; no text is handled here.

/// Index of a token in the vocabulary.
pub type TokenId = u32;

/// What a token stands for, from `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Text in the byte alphabet.
    Normal,
    /// Stands for text that the vocabulary lacks.
    Unknown,
    /// Steers the model (`<|im_start|>`); never made from untrusted text.
    Control,
    /// Literal text that is always one token.
    UserDefined,
    /// Reserved.
    Unused,
    /// One byte, spelled `<0xAB>`.
    Byte,
}

impl TokenKind {
    /// The kind with this number in the file; `None` when there is no such kind.
    pub fn from_ggml(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}
