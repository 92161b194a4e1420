//! Q8_1: 32 values in 36 bytes; value = d * code. The partner of formats with a minimum; not used for weights.
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..4 | s, f16: d * (sum of the codes), which multiplies the other side's minimum |
//! | 4..36 | codes, i8 |
use super::bytes::{at, half_at, half_bytes};
use super::small_block::{LEN, SmallBlock, inverse, signed_peak};

const BYTES: usize = 36;

pub(super) fn unpack(block: &[u8; BYTES]) -> SmallBlock {
    SmallBlock {
        scale: half_at(block, 0),
        min: None,
        codes: at::<LEN>(block, 4).map(|code| code as i8),
    }
}

pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let scale = signed_peak(weights).abs() / 127.0;
    let inverse = inverse(scale);
    let codes = weights.map(|weight| (weight * inverse).round() as i8);
    let sum: i32 = codes.iter().map(|code| i32::from(*code)).sum();
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(scale)?);
    block[2..4].copy_from_slice(&half_bytes(sum as f32 * scale)?);
    block[4..].copy_from_slice(&codes.map(|code| code as u8));
    Some(block)
}
