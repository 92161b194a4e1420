//! The block formats of quantized weights: layout, dequantize, quantize; one format a file.
//!
//! Layouts follow ggml's published blocks, so that the bytes of a GGUF file are used as they are. Scalar and readable
//! on purpose: this is the reference that fast kernels are compared with. Knows nothing of activations or matrices.
mod bf16;
mod bytes;
mod f16;
mod fit;
mod format;
pub mod k_block;
mod k_scales;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod q8_1;
mod q8_k;
pub mod small_block;

pub use format::{BlockFormat, ggml_type_name};

use k_block::KBlock;
use small_block::SmallBlock;

/// Why a row could not be converted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuantError {
    /// The two sides do not belong together.
    #[error(
        "{weights} weights of {format} take a whole number of {block}-weight blocks, but {bytes} bytes were given"
    )]
    Length {
        /// Format name.
        format: &'static str,
        /// Weights on the one side.
        weights: usize,
        /// Weights in a block.
        block: usize,
        /// Bytes on the other side.
        bytes: usize,
    },
    /// A block format has no code for infinity or NaN.
    #[error(
        "weight {index} is {value}, which {format} cannot hold; only finite weights can be quantized"
    )]
    NotFinite {
        /// Format name.
        format: &'static str,
        /// Place in the row.
        index: usize,
        /// The weight.
        value: f32,
    },
    /// The block's scale does not fit its 16-bit float.
    #[error(
        "the {block}-weight block at weight {index} is too large for {format}: its 16-bit scale overflows"
    )]
    ScaleOverflow {
        /// Format name.
        format: &'static str,
        /// Weights in a block.
        block: usize,
        /// First weight of the block.
        index: usize,
    },
}

/// Decodes a row: `bytes` holds whole blocks, `weights` as many values.
///
/// # Errors
/// [`QuantError::Length`] when the lengths do not belong together.
pub fn dequantize_row(
    format: BlockFormat,
    bytes: &[u8],
    weights: &mut [f32],
) -> Result<(), QuantError> {
    check_lengths(format, weights.len(), bytes.len())?;
    match format {
        BlockFormat::F32 => bytes::each(bytes, weights, f32::from_le_bytes),
        BlockFormat::F16 => bytes::each(bytes, weights, f16::decode),
        BlockFormat::BF16 => bytes::each(bytes, weights, bf16::decode),
        BlockFormat::Q4_0 => small(bytes, weights, q4_0::unpack),
        BlockFormat::Q4_1 => small(bytes, weights, q4_1::unpack),
        BlockFormat::Q5_0 => small(bytes, weights, q5_0::unpack),
        BlockFormat::Q5_1 => small(bytes, weights, q5_1::unpack),
        BlockFormat::Q8_0 => small(bytes, weights, q8_0::unpack),
        BlockFormat::Q8_1 => small(bytes, weights, q8_1::unpack),
        BlockFormat::Q2_K => large(bytes, weights, q2_k::unpack),
        BlockFormat::Q3_K => large(bytes, weights, q3_k::unpack),
        BlockFormat::Q4_K => large(bytes, weights, q4_k::unpack),
        BlockFormat::Q5_K => large(bytes, weights, q5_k::unpack),
        BlockFormat::Q6_K => large(bytes, weights, q6_k::unpack),
        BlockFormat::Q8_K => large(bytes, weights, q8_k::unpack),
    }
    Ok(())
}

/// Encodes a row into `bytes`, whole blocks only.
///
/// # Errors
/// [`QuantError`] when the lengths do not belong together, or a block format cannot hold a weight.
pub fn quantize_row(
    format: BlockFormat,
    weights: &[f32],
    bytes: &mut [u8],
) -> Result<(), QuantError> {
    check_lengths(format, weights.len(), bytes.len())?;
    check_finite(format, weights)?;
    match format {
        BlockFormat::F32 => bytes::fill(weights, bytes, f32::to_le_bytes),
        BlockFormat::F16 => bytes::fill(weights, bytes, f16::encode),
        BlockFormat::BF16 => bytes::fill(weights, bytes, bf16::encode),
        BlockFormat::Q4_0 => return blocks(format, weights, bytes, q4_0::quantize),
        BlockFormat::Q4_1 => return blocks(format, weights, bytes, q4_1::quantize),
        BlockFormat::Q5_0 => return blocks(format, weights, bytes, q5_0::quantize),
        BlockFormat::Q5_1 => return blocks(format, weights, bytes, q5_1::quantize),
        BlockFormat::Q8_0 => return blocks(format, weights, bytes, q8_0::quantize),
        BlockFormat::Q8_1 => return blocks(format, weights, bytes, q8_1::quantize),
        BlockFormat::Q2_K => return blocks(format, weights, bytes, q2_k::quantize),
        BlockFormat::Q3_K => return blocks(format, weights, bytes, q3_k::quantize),
        BlockFormat::Q4_K => return blocks(format, weights, bytes, q4_k::quantize),
        BlockFormat::Q5_K => return blocks(format, weights, bytes, q5_k::quantize),
        BlockFormat::Q6_K => return blocks(format, weights, bytes, q6_k::quantize),
        BlockFormat::Q8_K => {
            return blocks(format, weights, bytes, |weights| Some(q8_k::quantize(weights)));
        }
    }
    Ok(())
}

/// Unpacks every 32-weight block of a row, or `None` when the format has other blocks.
pub fn small_blocks(format: BlockFormat, bytes: &[u8]) -> Option<Vec<SmallBlock>> {
    Some(match format {
        BlockFormat::Q4_0 => unpacked(bytes, q4_0::unpack),
        BlockFormat::Q4_1 => unpacked(bytes, q4_1::unpack),
        BlockFormat::Q5_0 => unpacked(bytes, q5_0::unpack),
        BlockFormat::Q5_1 => unpacked(bytes, q5_1::unpack),
        BlockFormat::Q8_0 => unpacked(bytes, q8_0::unpack),
        BlockFormat::Q8_1 => unpacked(bytes, q8_1::unpack),
        _ => return None,
    })
}

/// Unpacks every 256-weight block of a row, or `None` when the format has other blocks.
pub fn k_blocks(format: BlockFormat, bytes: &[u8]) -> Option<Vec<KBlock>> {
    Some(match format {
        BlockFormat::Q2_K => unpacked(bytes, q2_k::unpack),
        BlockFormat::Q3_K => unpacked(bytes, q3_k::unpack),
        BlockFormat::Q4_K => unpacked(bytes, q4_k::unpack),
        BlockFormat::Q5_K => unpacked(bytes, q5_k::unpack),
        BlockFormat::Q6_K => unpacked(bytes, q6_k::unpack),
        BlockFormat::Q8_K => unpacked(bytes, q8_k::unpack),
        _ => return None,
    })
}

fn unpacked<const B: usize, T>(bytes: &[u8], unpack: fn(&[u8; B]) -> T) -> Vec<T> {
    bytes.as_chunks::<B>().0.iter().map(unpack).collect()
}

fn small<const B: usize>(bytes: &[u8], weights: &mut [f32], unpack: fn(&[u8; B]) -> SmallBlock) {
    for (block, out) in bytes.as_chunks::<B>().0.iter().zip(weights.as_chunks_mut().0) {
        unpack(block).dequantize(out);
    }
}

fn large<const B: usize>(bytes: &[u8], weights: &mut [f32], unpack: fn(&[u8; B]) -> KBlock) {
    for (block, out) in bytes.as_chunks::<B>().0.iter().zip(weights.as_chunks_mut().0) {
        unpack(block).dequantize(out);
    }
}

/// Quantizes block by block; `None` from `quantize` means that the scale does not fit.
fn blocks<const B: usize, const L: usize>(
    format: BlockFormat,
    weights: &[f32],
    bytes: &mut [u8],
    quantize: fn(&[f32; L]) -> Option<[u8; B]>,
) -> Result<(), QuantError> {
    let pairs = weights.as_chunks::<L>().0.iter().zip(bytes.as_chunks_mut::<B>().0);
    for (index, (weights, out)) in pairs.enumerate() {
        let overflow =
            QuantError::ScaleOverflow { format: format.name(), block: L, index: index * L };
        *out = quantize(weights).ok_or(overflow)?;
    }
    Ok(())
}

fn check_lengths(format: BlockFormat, weights: usize, bytes: usize) -> Result<(), QuantError> {
    if format.row_bytes(weights) == Some(bytes) {
        return Ok(());
    }
    Err(QuantError::Length { format: format.name(), weights, block: format.block_len(), bytes })
}

fn check_finite(format: BlockFormat, weights: &[f32]) -> Result<(), QuantError> {
    if format.block_len() == 1 {
        return Ok(());
    }
    match weights.iter().position(|weight| !weight.is_finite()) {
        None => Ok(()),
        Some(index) => {
            Err(QuantError::NotFinite { format: format.name(), index, value: weights[index] })
        }
    }
}
