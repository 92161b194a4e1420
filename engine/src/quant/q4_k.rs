//! Q4_K: 256 weights in 144 bytes; 8 groups of 32; weight = d * scale * code - dmin * min.
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..4 | dmin, f16 |
//! | 4..16 | scales and minima, 6 bits each (see `k_scales`) |
//! | 16..144 | codes, 4 bits: in each 64 weights, byte i holds code i (low) and code i + 32 (high) |
use super::bytes::{at, half_at, half_bytes};
use super::fit;
use super::k_block::{KBlock, LEN};
use super::k_scales::{self, GROUPS};

const BYTES: usize = 144;
const TOP_SCALE: i8 = 63;
const GROUP_LEN: usize = 32;

pub(super) fn unpack(block: &[u8; BYTES]) -> KBlock {
    let (scales, mins) = k_scales::unpack(at(block, 4));
    KBlock {
        scale: half_at(block, 0),
        min: half_at(block, 2),
        group_scales: k_scales::twice(scales).map(|scale| scale as i8),
        group_mins: k_scales::twice(mins),
        codes: unpack_nibbles(at(block, 16)).map(|code| code as i8),
    }
}

/// The 4-bit codes of Q4_K, and the low bits of Q5_K.
pub(super) fn unpack_nibbles(packed: &[u8; 128]) -> [u8; LEN] {
    std::array::from_fn(|i| (packed[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4)) & 0x0f)
}

/// The inverse of [`unpack_nibbles`].
pub(super) fn pack_nibbles(codes: &[u8; LEN]) -> [u8; 128] {
    std::array::from_fn(|byte| {
        let first = byte / 32 * 64 + byte % 32;
        codes[first] | codes[first + 32] << 4
    })
}

/// A block of 8 groups of 32 with 6-bit scales and minima: what Q4_K and Q5_K have in common.
pub(super) struct Fitted {
    /// d, dmin, and the packed scales and minima: the first 16 bytes of the block.
    pub(super) header: [u8; 16],
    pub(super) codes: [u8; LEN],
}

/// Fits codes `0..=top`.
pub(super) fn fit(weights: &[f32; LEN], top: u8) -> Option<Fitted> {
    let groups = weights.as_chunks::<GROUP_LEN>().0;
    let fits: [fit::Affine; GROUPS] = std::array::from_fn(|g| fit::affine(&groups[g], top));
    let d =
        fit::as_half(fits.iter().map(|fit| fit.scale).fold(0.0, f32::max) / f32::from(TOP_SCALE));
    let dmin =
        fit::as_half(fits.iter().map(|fit| fit.min).fold(0.0, f32::max) / f32::from(TOP_SCALE));
    let scales = fits.map(|fit| fit::code(fit.scale, d, 0, TOP_SCALE));
    let mins = fits.map(|fit| fit::code(fit.min, dmin, 0, TOP_SCALE));
    let codes = std::array::from_fn(|i| {
        let g = i / GROUP_LEN;
        let min = dmin * f32::from(mins[g]);
        fit::code(weights[i] + min, d * f32::from(scales[g]), 0, top as i8) as u8
    });
    let mut header = [0; 16];
    header[..2].copy_from_slice(&half_bytes(d)?);
    header[2..4].copy_from_slice(&half_bytes(dmin)?);
    header[4..].copy_from_slice(&k_scales::pack(
        scales.map(|scale| scale as u8),
        mins.map(|min| min as u8),
    ));
    Some(Fitted { header, codes })
}

pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let Fitted { header, codes } = fit(weights, 15)?;
    let mut block = [0; BYTES];
    block[..16].copy_from_slice(&header);
    block[16..].copy_from_slice(&pack_nibbles(&codes));
    Some(block)
}
