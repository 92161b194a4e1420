//! Q2_K: 256 weights in 84 bytes; 16 groups of 16; weight = d * scale * code - dmin * min.
//!
//! | bytes | what |
//! |---|---|
//! | 0..16 | per group: scale (low nibble) and min (high nibble) |
//! | 16..80 | codes, 2 bits: in each half of 128 weights, byte i holds codes i, i + 32, i + 64, i + 96 |
//! | 80..82 | d, f16 |
//! | 82..84 | dmin, f16 |
use super::bytes::{at, half_at, half_bytes};
use super::fit;
use super::k_block::{GROUP_LEN, GROUPS, KBlock, LEN};

const BYTES: usize = 84;
const TOP_CODE: u8 = 3;
const TOP_SCALE: i8 = 15;

pub(super) fn unpack(block: &[u8; BYTES]) -> KBlock {
    let scales: &[u8; GROUPS] = at(block, 0);
    let packed: &[u8; 64] = at(block, 16);
    KBlock {
        scale: half_at(block, 80),
        min: half_at(block, 82),
        group_scales: scales.map(|byte| (byte & 0x0f) as i8),
        group_mins: scales.map(|byte| byte >> 4),
        codes: unpack_two_bits(packed).map(|code| code as i8),
    }
}

/// The 2-bit codes of Q2_K and Q3_K.
pub(super) fn unpack_two_bits(packed: &[u8; 64]) -> [u8; LEN] {
    std::array::from_fn(|i| (packed[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3)
}

/// The inverse of [`unpack_two_bits`].
pub(super) fn pack_two_bits(codes: &[u8; LEN]) -> [u8; 64] {
    std::array::from_fn(|byte| {
        let first = byte / 32 * 128 + byte % 32;
        (0..4).fold(0, |bits, i| bits | codes[first + 32 * i] << (2 * i))
    })
}

pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let groups = weights.as_chunks::<GROUP_LEN>().0;
    let fits: [fit::Affine; GROUPS] = std::array::from_fn(|g| fit::affine(&groups[g], TOP_CODE));
    let d =
        fit::as_half(fits.iter().map(|fit| fit.scale).fold(0.0, f32::max) / f32::from(TOP_SCALE));
    let dmin =
        fit::as_half(fits.iter().map(|fit| fit.min).fold(0.0, f32::max) / f32::from(TOP_SCALE));
    let scales = fits.map(|fit| fit::code(fit.scale, d, 0, TOP_SCALE));
    let mins = fits.map(|fit| fit::code(fit.min, dmin, 0, TOP_SCALE));
    let codes = std::array::from_fn(|i| {
        let g = i / GROUP_LEN;
        let min = dmin * f32::from(mins[g]);
        fit::code(weights[i] + min, d * f32::from(scales[g]), 0, TOP_CODE as i8) as u8
    });
    let mut block = [0; BYTES];
    for g in 0..GROUPS {
        block[g] = (scales[g] | mins[g] << 4) as u8;
    }
    block[16..80].copy_from_slice(&pack_two_bits(&codes));
    block[80..82].copy_from_slice(&half_bytes(d)?);
    block[82..].copy_from_slice(&half_bytes(dmin)?);
    Some(block)
}
