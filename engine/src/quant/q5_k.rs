//! Q5_K: 256 weights in 176 bytes; 8 groups of 32; weight = d * scale * code - dmin * min.
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..4 | dmin, f16 |
//! | 4..16 | scales and minima, 6 bits each (see `k_scales`) |
//! | 16..48 | fifth bits: bit b of byte i belongs to code 32 * b + i |
//! | 48..176 | low 4 bits, as in Q4_K |
use super::bytes::{at, half_at};
use super::k_block::{KBlock, LEN};
use super::k_scales;
use super::q4_k::{Fitted, fit, pack_nibbles, unpack_nibbles};

const BYTES: usize = 176;

pub(super) fn unpack(block: &[u8; BYTES]) -> KBlock {
    let (scales, mins) = k_scales::unpack(at(block, 4));
    let (high, low) = (at::<32>(block, 16), unpack_nibbles(at(block, 48)));
    KBlock {
        scale: half_at(block, 0),
        min: half_at(block, 2),
        group_scales: k_scales::twice(scales).map(|scale| scale as i8),
        group_mins: k_scales::twice(mins),
        codes: std::array::from_fn(|i| (low[i] | ((high[i % 32] >> (i / 32)) & 1) << 4) as i8),
    }
}

pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let Fitted { header, codes } = fit(weights, 31)?;
    let mut block = [0; BYTES];
    block[..16].copy_from_slice(&header);
    for (byte, high) in block[16..48].iter_mut().enumerate() {
        *high = (0..8).fold(0, |bits, i| bits | (codes[32 * i + byte] >> 4) << i);
    }
    block[48..].copy_from_slice(&pack_nibbles(&codes.map(|code| code & 0x0f)));
    Some(block)
}
