//! Q4_0: 32 weights in 18 bytes; weight = d * (code - 8).
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..18 | codes, 4 bits: byte i holds code i (low) and code i + 16 (high) |
use super::bytes::{at, half_at, half_bytes};
use super::small_block::{LEN, SmallBlock, inverse, nibbles, pack_nibbles, signed_peak};

const BYTES: usize = 18;

pub(super) fn unpack(block: &[u8; BYTES]) -> SmallBlock {
    let codes = nibbles(at(block, 2)).map(|code| code as i8 - 8);
    SmallBlock { scale: half_at(block, 0), min: None, codes }
}

/// The weight of largest magnitude takes code 0, so that its sign needs no bit.
pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let scale = signed_peak(weights) / -8.0;
    let inverse = inverse(scale);
    let codes = weights.map(|weight| ((weight * inverse + 8.5) as u8).min(15));
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(scale)?);
    block[2..].copy_from_slice(&pack_nibbles(&codes));
    Some(block)
}
