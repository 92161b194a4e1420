//! Q4_1: 32 weights in 20 bytes; weight = d * code + m.
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..4 | m, f16, the smallest weight |
//! | 4..20 | codes, 4 bits: byte i holds code i (low) and code i + 16 (high) |
use super::bytes::{at, half_at, half_bytes};
use super::small_block::{LEN, SmallBlock, inverse, nibbles, pack_nibbles, range};

const BYTES: usize = 20;

pub(super) fn unpack(block: &[u8; BYTES]) -> SmallBlock {
    let codes = nibbles(at(block, 4)).map(|code| code as i8);
    SmallBlock { scale: half_at(block, 0), min: Some(half_at(block, 2)), codes }
}

pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let (low, high) = range(weights);
    let scale = (high - low) / 15.0;
    let inverse = inverse(scale);
    let codes = weights.map(|weight| (((weight - low) * inverse + 0.5) as u8).min(15));
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(scale)?);
    block[2..4].copy_from_slice(&half_bytes(low)?);
    block[4..].copy_from_slice(&pack_nibbles(&codes));
    Some(block)
}
