//! Q5_0: 32 weights in 22 bytes; weight = d * (code - 16).
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..6 | fifth bits: bit i of the little-endian u32 belongs to code i |
//! | 6..22 | low 4 bits: byte i holds code i (low) and code i + 16 (high) |
use super::bytes::{at, half_at, half_bytes};
use super::small_block::{
    LEN, SmallBlock, inverse, nibbles, pack_nibbles, signed_peak, split_fifth_bit, with_fifth_bit,
};

const BYTES: usize = 22;

pub(super) fn unpack(block: &[u8; BYTES]) -> SmallBlock {
    let codes = with_fifth_bit(nibbles(at(block, 6)), *at(block, 2)).map(|code| code as i8 - 16);
    SmallBlock { scale: half_at(block, 0), min: None, codes }
}

/// The weight of largest magnitude takes code 0, as in Q4_0.
pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let scale = signed_peak(weights) / -16.0;
    let inverse = inverse(scale);
    let codes = weights.map(|weight| ((weight * inverse + 16.5) as u8).min(31));
    let (high, low) = split_fifth_bit(&codes);
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(scale)?);
    block[2..6].copy_from_slice(&high);
    block[6..].copy_from_slice(&pack_nibbles(&low));
    Some(block)
}
