//! A matrix of weights: rows as they lie in the file, or packed for products.
use crate::kernels::{WeightRows, packed::PackedMatrix};
use crate::quant::BlockFormat;

/// `rows` rows of `cols` weights, neither zero; checked once.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    format: BlockFormat,
    rows: usize,
    cols: usize,
    store: Store<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Store<'a> {
    Rows { row_bytes: usize, bytes: &'a [u8] },
    Packed(PackedMatrix<'a>),
}

impl<'a> From<PackedMatrix<'a>> for Matrix<'a> {
    fn from(packed: PackedMatrix<'a>) -> Self {
        let (format, rows, cols) = (packed.format(), packed.rows(), packed.cols());
        Self { format, rows, cols, store: Store::Packed(packed) }
    }
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
                Ok(Self { format, rows, cols, store: Store::Rows { row_bytes, bytes } })
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

    /// The packed form; `None` when the rows lie as in the file.
    pub fn packed(&self) -> Option<PackedMatrix<'a>> {
        match self.store {
            Store::Packed(packed) => Some(packed),
            Store::Rows { .. } => None,
        }
    }

    /// The bytes of one row, such as a token's embedding; `None` past the last and for packed matrices.
    pub fn row(&self, index: usize) -> Option<&'a [u8]> {
        let Store::Rows { row_bytes, bytes } = self.store else { return None };
        bytes.chunks_exact(row_bytes).nth(index)
    }

    /// Consecutive rows, `rows` at a time (at least one); the last part may have fewer. None for packed matrices.
    pub fn row_chunks(&self, rows: usize) -> impl Iterator<Item = WeightRows<'a>> + use<'a> {
        let (format, cols) = (self.format, self.cols);
        let (row_bytes, bytes) = match self.store {
            Store::Rows { row_bytes, bytes } => (row_bytes, bytes),
            Store::Packed(_) => (1, &[][..]),
        };
        let part = row_bytes.saturating_mul(rows.max(1));
        bytes.chunks(part).filter_map(move |bytes| WeightRows::new(format, cols, bytes))
    }
}
