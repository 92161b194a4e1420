//! The embedding of each token of the vocabulary.

use super::tensor_reader::{MatrixName, TensorReader};
use crate::{
    tokenizer::TokenId,
    weights::{WeightError, Weights},
};

/// Where they are in a file.
const NAME: &str = "token_embd.weight";

/// The embedding of each token of the vocabulary.
#[derive(Debug)]
pub(super) struct Embeddings {
    pub(super) matrix: MatrixName,
}

impl Embeddings {
    pub(super) fn read(width: usize, reader: &mut TensorReader<'_>) -> Result<Self, WeightError> {
        let rows = reader.rows(NAME)?;
        Ok(Self { matrix: reader.matrix(NAME, rows, width)? })
    }

    /// Fills a row of `state` for each token.
    pub(super) fn look_up(
        &self,
        weights: &dyn Weights,
        tokens: &[TokenId],
        scale: f32,
        state: &mut [f32],
    ) -> Result<(), WeightError> {
        for (state, &token) in state.chunks_exact_mut(self.matrix.cols).zip(tokens) {
            self.matrix.unpack_row(weights, token as usize, state)?;
            if scale != 1.0 {
                for number in state.iter_mut() {
                    *number *= scale;
                }
            }
        }
        Ok(())
    }
}
