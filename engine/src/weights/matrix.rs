//! A matrix of weights as it lies in the file.
use crate::kernels::WeightRows;
use crate::quant::BlockFormat;

/// Row-major blocks, checked once: `rows` rows of `cols` weights, neither zero.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    format: BlockFormat,
    rows: usize,
    cols: usize,
    row_bytes: usize,
    bytes: &'a [u8],
}

/// Why bytes are not a matrix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// The length does not belong to the shape.
    #[error("a matrix of {rows} rows of {cols} {format} weights cannot be made of {bytes} bytes")]
    Length {
        /// Format name.
        format: &'static str,
        /// Rows.
        rows: usize,
        /// Weights in a row.
        cols: usize,
        /// Bytes given.
        bytes: usize,
    },
    /// The format is one of activations.
    #[error("{format} is a format of activations, not of weights")]
    NotForWeights {
        /// Format name.
        format: &'static str,
    },
}

impl<'a> Matrix<'a> {
    /// Checks that `bytes` are exactly `rows` rows of `cols` weights.
    ///
    /// # Errors
    /// [`MatrixError`] when they are not, when a size is zero, or when the format is one of activations.
    pub fn new(
        format: BlockFormat,
        rows: usize,
        cols: usize,
        bytes: &'a [u8],
    ) -> Result<Self, MatrixError> {
        let name = format.name();
        if matches!(format, BlockFormat::Q8_1 | BlockFormat::Q8_K) {
            return Err(MatrixError::NotForWeights { format: name });
        }
        let row_bytes = format.row_bytes(cols).filter(|row_bytes| *row_bytes > 0);
        match row_bytes {
            Some(row_bytes) if rows > 0 && row_bytes.checked_mul(rows) == Some(bytes.len()) => {
                Ok(Self { format, rows, cols, row_bytes, bytes })
            }
            _ => Err(MatrixError::Length { format: name, rows, cols, bytes: bytes.len() }),
        }
    }

    /// Format of the blocks.
    pub fn format(&self) -> BlockFormat {
        self.format
    }

    /// Number of rows: outputs of a product.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Weights in a row: inputs of a product.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes of one row, such as a token's embedding.
    pub fn row(&self, index: usize) -> Option<&'a [u8]> {
        self.bytes.chunks_exact(self.row_bytes).nth(index)
    }

    /// Consecutive rows, `rows` at a time (at least one); the last part may have fewer.
    pub fn row_chunks(&self, rows: usize) -> impl Iterator<Item = WeightRows<'a>> {
        let (format, cols) = (self.format, self.cols);
        let part = self.row_bytes.saturating_mul(rows.max(1));
        self.bytes.chunks(part).filter_map(move |bytes| WeightRows::new(format, cols, bytes))
    }
}
