//! One entry of the tensor table: read, checked, and placed inside the file.
use super::error::GgufError;
use super::reader::Reader;
use crate::quant::{BlockFormat, ggml_type_name};

/// Bytes of one tensor name; ggml itself stops at 63.
pub const MAX_TENSOR_NAME_BYTES: u64 = 256;
/// Dimensions of one tensor.
pub const MAX_DIMENSIONS: u32 = 4;

/// Where a tensor's weights lie and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// Sizes in ggml order, 1 to 4 of them: `shape[0]` is the length of a row; none is zero.
    pub shape: Vec<u64>,
    /// Format of its blocks.
    pub format: BlockFormat,
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Bytes of its data; `offset + bytes` lies inside the file.
    pub bytes: u64,
}

impl TensorInfo {
    /// Weights in a row.
    pub fn row_len(&self) -> u64 {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Number of rows: the product of all sizes but the first.
    pub fn rows(&self) -> u64 {
        self.shape.iter().skip(1).product()
    }

    /// Number of weights.
    pub fn weights(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// An entry as it stands in the table, before the start of the tensor data is known.
pub(super) struct Header {
    pub(super) name: String,
    pub(super) at: u64,
    shape: Vec<u64>,
    format: BlockFormat,
    bytes: u64,
    offset: u64,
}

impl Header {
    pub(super) fn read(reader: &mut Reader<'_>, index: u64) -> Result<Self, GgufError> {
        let at = reader.position();
        let name =
            reader.string(|| format!("the name of tensor {index}"), MAX_TENSOR_NAME_BYTES)?;
        if name.is_empty() {
            return Err(GgufError::EmptyTensorName { index, at });
        }
        let shape = read_shape(reader, &name)?;
        let format = read_format(reader, &name)?;
        let bytes = data_bytes(&name, &shape, format)?;
        let offset = reader.u64(&format!("the offset of tensor \"{name}\""))?;
        Ok(Self { name, at, shape, format, bytes, offset })
    }

    /// Checks the place of the data and makes its offset absolute.
    pub(super) fn place(
        self,
        data_start: u64,
        alignment: u64,
        file: u64,
    ) -> Result<TensorInfo, GgufError> {
        let Self { name, shape, format, bytes, offset, .. } = self;
        if !offset.is_multiple_of(alignment) {
            return Err(GgufError::Unaligned { tensor: name, offset, alignment });
        }
        let start = data_start.checked_add(offset);
        let end = start.and_then(|start| start.checked_add(bytes));
        match (start, end) {
            (Some(start), Some(end)) if end <= file => {
                Ok(TensorInfo { name, shape, format, offset: start, bytes })
            }
            _ => Err(GgufError::OutsideFile { tensor: name, bytes, offset, data_start, file }),
        }
    }
}

fn read_shape(reader: &mut Reader<'_>, name: &str) -> Result<Vec<u64>, GgufError> {
    let at = reader.position();
    let dimensions = reader.u32(&format!("the number of dimensions of tensor \"{name}\""))?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        return Err(GgufError::BadDimensions { tensor: name.to_owned(), found: dimensions, at });
    }
    let what = format!("the shape of tensor \"{name}\"");
    let shape: Vec<u64> = (0..dimensions).map(|_| reader.u64(&what)).collect::<Result<_, _>>()?;
    if shape.contains(&0) {
        return Err(GgufError::EmptyDimension { tensor: name.to_owned(), shape });
    }
    Ok(shape)
}

fn read_format(reader: &mut Reader<'_>, name: &str) -> Result<BlockFormat, GgufError> {
    let at = reader.position();
    let number = reader.u32(&format!("the format of tensor \"{name}\""))?;
    BlockFormat::from_ggml_type(number).ok_or_else(|| GgufError::UnsupportedFormat {
        tensor: name.to_owned(),
        number,
        name: ggml_type_name(number),
        at,
        supported: BlockFormat::ALL.map(BlockFormat::name).join(", "),
    })
}

fn data_bytes(name: &str, shape: &[u64], format: BlockFormat) -> Result<u64, GgufError> {
    let row = shape.first().copied().unwrap_or(0);
    let block = format.block_len() as u64;
    if !row.is_multiple_of(block) {
        let (tensor, format_name) = (name.to_owned(), format.name());
        return Err(GgufError::PartialBlock {
            tensor,
            row,
            format: format_name,
            block: format.block_len(),
        });
    }
    let weights = shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
    weights
        .and_then(|weights| (weights / block).checked_mul(format.block_bytes() as u64))
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| GgufError::TooManyWeights { tensor: name.to_owned(), shape: shape.to_vec() })
}
