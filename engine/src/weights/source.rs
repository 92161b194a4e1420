//! What a model asks of its weights, whoever holds the bytes.
use super::matrix::{Matrix, MatrixError};
use crate::gguf::TensorInfo;
use crate::quant::{QuantError, dequantize_row};

/// Why a tensor could not be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WeightError {
    /// No tensor of that name.
    #[error(
        "the model file lacks tensor \"{tensor}\"; convert the model again with a current converter"
    )]
    Missing {
        /// The name.
        tensor: String,
    },
    /// The shape is another one.
    #[error(
        "tensor \"{tensor}\" has shape {found:?} (row length first) where {expected:?} is needed; convert the model again"
    )]
    Shape {
        /// The name.
        tensor: String,
        /// The shape that the model needs, row length first.
        expected: Vec<u64>,
        /// The shape in the file.
        found: Vec<u64>,
    },
    /// The tensor is not a matrix of weights.
    #[error("tensor \"{tensor}\" cannot be used: {reason}")]
    Unusable {
        /// The name.
        tensor: String,
        /// What is wrong.
        reason: MatrixError,
    },
    /// The tensor cannot be decoded.
    #[error("tensor \"{tensor}\" cannot be decoded: {reason}")]
    Undecodable {
        /// The name.
        tensor: String,
        /// What is wrong.
        reason: QuantError,
    },
}

/// Named tensors with their bytes.
pub trait Weights {
    /// The tensor of that name and its bytes, `info.bytes` of them.
    fn tensor(&self, name: &str) -> Option<(&TensorInfo, &[u8])>;

    /// A matrix of `rows` rows of `cols` weights, in the form that products are fastest with.
    ///
    /// # Errors
    /// [`WeightError`] names the tensor, the shape needed and the shape found.
    fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Matrix<'_>, WeightError> {
        self.table(name, rows, cols)
    }

    /// A matrix of `rows` rows of `cols` weights as they lie in the file, to look rows up.
    ///
    /// # Errors
    /// [`WeightError`] names the tensor, the shape needed and the shape found.
    fn table(&self, name: &str, rows: usize, cols: usize) -> Result<Matrix<'_>, WeightError> {
        let (info, bytes) =
            self.tensor(name).ok_or_else(|| WeightError::Missing { tensor: name.to_owned() })?;
        check_shape(info, &[cols as u64, rows as u64])?;
        Matrix::new(info.format, rows, cols, bytes)
            .map_err(|reason| WeightError::Unusable { tensor: name.to_owned(), reason })
    }

    /// Matrix `index` of `count` in one tensor, such as an expert's, each of `rows` rows of `cols` weights.
    ///
    /// # Errors
    /// [`WeightError`] names the tensor, the shape needed and the shape found.
    fn matrix_of(
        &self,
        name: &str,
        index: usize,
        count: usize,
        rows: usize,
        cols: usize,
    ) -> Result<Matrix<'_>, WeightError> {
        let (info, bytes) =
            self.tensor(name).ok_or_else(|| WeightError::Missing { tensor: name.to_owned() })?;
        check_shape(info, &[cols as u64, rows as u64, count as u64])?;
        let part = bytes.len() / count.max(1);
        let bytes = bytes.get(index * part..(index + 1) * part).unwrap_or_default();
        Matrix::new(info.format, rows, cols, bytes)
            .map_err(|reason| WeightError::Unusable { tensor: name.to_owned(), reason })
    }

    /// A copy of a vector of `len` weights as `f32`.
    ///
    /// # Errors
    /// [`WeightError`] names the tensor, the shape needed and the shape found.
    fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>, WeightError> {
        let (info, bytes) =
            self.tensor(name).ok_or_else(|| WeightError::Missing { tensor: name.to_owned() })?;
        check_shape(info, &[len as u64])?;
        let mut vector = vec![0.0; len];
        dequantize_row(info.format, bytes, &mut vector)
            .map_err(|reason| WeightError::Undecodable { tensor: name.to_owned(), reason })?;
        Ok(vector)
    }
}

/// Compares shapes; trailing sizes of 1 do not count.
fn check_shape(info: &TensorInfo, expected: &[u64]) -> Result<(), WeightError> {
    let longest = info.shape.len().max(expected.len());
    let size = |shape: &[u64], i: usize| shape.get(i).copied().unwrap_or(1);
    if (0..longest).all(|i| size(&info.shape, i) == size(expected, i)) {
        return Ok(());
    }
    let (expected, found) = (expected.to_vec(), info.shape.clone());
    Err(WeightError::Shape { tensor: info.name.clone(), expected, found })
}
