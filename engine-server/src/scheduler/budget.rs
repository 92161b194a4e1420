//! The tokens of a step. Pure.

/// Tokens of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Of all sequences.
    pub tokens: usize,
    /// Of prompts, when other sequences decode in the same step.
    pub prefill_beside_decode: usize,
}

impl Budget {
    /// Sequences that may decode in a step.
    pub fn decodes(self) -> usize {
        self.tokens.max(1)
    }

    /// What prompts may take beside so many decodes. At least one token, so that they always move on.
    pub fn prefill(self, decodes: usize) -> usize {
        let left = self.tokens.saturating_sub(decodes);
        let bound = if decodes == 0 { left } else { left.min(self.prefill_beside_decode) };
        bound.max(1)
    }
}
