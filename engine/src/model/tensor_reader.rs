//! Asks for tensors by name and shape, and remembers which: what is left over in a file is refused.
//!
//! Small vectors are copied; matrices are named and looked at where the weights lie, each time they are used.

use std::collections::HashSet;

use super::error::ModelError;
use crate::{
    gguf::Gguf,
    quant::dequantize_row,
    weights::{Matrix, WeightError, Weights},
};

/// In old files, and of no use: the frequencies follow from the metadata.
const IGNORED_SUFFIX: &str = ".attn_rot_embd";

/// Reads the tensors of one file.
pub(super) struct TensorReader<'w> {
    weights: &'w dyn Weights,
    known: HashSet<String>,
}

/// A matrix that was checked when the model was opened.
#[derive(Debug, Clone)]
pub(super) struct MatrixName {
    pub(super) name: String,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

/// Matrices of one shape in one tensor, one an expert.
#[derive(Debug, Clone)]
pub(super) struct ExpertMatrices {
    name: String,
    count: usize,
    rows: usize,
    cols: usize,
}

impl<'w> TensorReader<'w> {
    pub(super) fn new(weights: &'w dyn Weights) -> Self {
        Self { weights, known: HashSet::new() }
    }

    /// Whether the file has it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.weights.tensor(name).is_some()
    }

    /// Rows of a matrix whose number nothing else says.
    pub(super) fn rows(&self, name: &str) -> Result<usize, WeightError> {
        let (info, _) = self
            .weights
            .tensor(name)
            .ok_or_else(|| WeightError::Missing { tensor: name.to_owned() })?;
        Ok(info.rows() as usize)
    }

    /// A vector that must be there.
    pub(super) fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f32>, WeightError> {
        self.known.insert(name.to_owned());
        self.weights.vector(name, len)
    }

    /// A vector that may be there.
    pub(super) fn optional(
        &mut self,
        name: &str,
        len: usize,
    ) -> Result<Option<Vec<f32>>, WeightError> {
        if self.has(name) { self.vector(name, len).map(Some) } else { Ok(None) }
    }

    /// A matrix that must be there.
    pub(super) fn matrix(
        &mut self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<MatrixName, WeightError> {
        self.known.insert(name.to_owned());
        let matrix = MatrixName { name: name.to_owned(), rows, cols };
        matrix.view(self.weights)?;
        Ok(matrix)
    }

    /// A matrix for each expert.
    pub(super) fn experts(
        &mut self,
        name: &str,
        count: usize,
        rows: usize,
        cols: usize,
    ) -> Result<ExpertMatrices, WeightError> {
        self.known.insert(name.to_owned());
        let matrices = ExpertMatrices { name: name.to_owned(), count, rows, cols };
        matrices.view(self.weights, count - 1)?;
        Ok(matrices)
    }

    /// A tensor that may be there and is of no use here.
    pub(super) fn ignore(&mut self, name: &str) {
        self.known.insert(name.to_owned());
    }

    /// A tensor that was not asked for means that the model computes something else.
    pub(super) fn refuse_others(&self, gguf: &Gguf, architecture: &str) -> Result<(), ModelError> {
        let unknown = |name: &&str| !self.known.contains(*name) && !name.ends_with(IGNORED_SUFFIX);
        match gguf.tensors.iter().map(|tensor| tensor.name.as_str()).find(unknown) {
            Some(tensor) => Err(ModelError::UnknownTensor {
                tensor: tensor.to_owned(),
                architecture: architecture.to_owned(),
            }),
            None => Ok(()),
        }
    }
}

impl MatrixName {
    /// The matrix where it lies.
    pub(super) fn view<'w>(&self, weights: &'w dyn Weights) -> Result<Matrix<'w>, WeightError> {
        weights.matrix(&self.name, self.rows, self.cols)
    }

    /// One row as `f32`, from where rows lie as in the file.
    pub(super) fn unpack_row(
        &self,
        weights: &dyn Weights,
        index: usize,
        row: &mut [f32],
    ) -> Result<(), WeightError> {
        let matrix = weights.table(&self.name, self.rows, self.cols)?;
        dequantize_row(matrix.format(), matrix.row(index).unwrap_or_default(), row)
            .map_err(|reason| WeightError::Undecodable { tensor: self.name.clone(), reason })
    }
}

impl ExpertMatrices {
    /// The matrix of one expert where it lies.
    pub(super) fn view<'w>(
        &self,
        weights: &'w dyn Weights,
        expert: usize,
    ) -> Result<Matrix<'w>, WeightError> {
        weights.matrix_of(&self.name, expert, self.count, self.rows, self.cols)
    }
}
