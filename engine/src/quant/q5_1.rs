//! Q5_1: 32 weights in 24 bytes; weight = d * code + m.
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..4 | m, f16, the smallest weight |
//! | 4..8 | fifth bits: bit i of the little-endian u32 belongs to code i |
//! | 8..24 | low 4 bits: byte i holds code i (low) and code i + 16 (high) |
use super::bytes::{at, half_at, half_bytes};
use super::small_block::{
    LEN, SmallBlock, inverse, nibbles, pack_nibbles, range, split_fifth_bit, with_fifth_bit,
};

const BYTES: usize = 24;

pub(super) fn unpack(block: &[u8; BYTES]) -> SmallBlock {
    let codes = with_fifth_bit(nibbles(at(block, 8)), *at(block, 4)).map(|code| code as i8);
    SmallBlock { scale: half_at(block, 0), min: Some(half_at(block, 2)), codes }
}

pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let (minimum, maximum) = range(weights);
    let scale = (maximum - minimum) / 31.0;
    let inverse = inverse(scale);
    let codes = weights.map(|weight| (((weight - minimum) * inverse + 0.5) as u8).min(31));
    let (high, low) = split_fifth_bit(&codes);
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(scale)?);
    block[2..4].copy_from_slice(&half_bytes(minimum)?);
    block[4..8].copy_from_slice(&high);
    block[8..].copy_from_slice(&pack_nibbles(&low));
    Some(block)
}
