//! Q8_0: 32 weights in 34 bytes; weight = d * code.
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..34 | codes, i8 |
use super::bytes::{at, half_at, half_bytes};
use super::small_block::{LEN, SmallBlock, inverse, signed_peak};

const BYTES: usize = 34;

pub(super) fn unpack(block: &[u8; BYTES]) -> SmallBlock {
    SmallBlock {
        scale: half_at(block, 0),
        min: None,
        codes: at::<LEN>(block, 2).map(|code| code as i8),
    }
}

/// Rounds halves away from zero, as ggml's reference does (its SIMD code for activations rounds them to even).
pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let scale = signed_peak(weights).abs() / 127.0;
    let inverse = inverse(scale);
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(scale)?);
    for (code, weight) in block[2..].iter_mut().zip(weights) {
        *code = (weight * inverse).round() as i8 as u8;
    }
    Some(block)
}
