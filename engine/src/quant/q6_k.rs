//! Q6_K: 256 weights in 210 bytes; 16 groups of 16; weight = d * scale * (code - 32).
//!
//! | bytes | what |
//! |---|---|
//! | 0..128 | low 4 bits: in each half of 128 weights, byte i (of 64) holds code i (low) and code i + 64 (high) |
//! | 128..192 | upper 2 bits: in each half, byte i (of 32) holds codes i, i + 32, i + 64, i + 96 |
//! | 192..208 | scales, i8 |
//! | 208..210 | d, f16 |
use super::bytes::{at, half_at, half_bytes};
use super::fit;
use super::k_block::{GROUP_LEN, GROUPS, KBlock, LEN};
use super::q2_k::{pack_two_bits, unpack_two_bits};

const BYTES: usize = 210;
const HALF_CODE: i8 = 32;

pub(super) fn unpack(block: &[u8; BYTES]) -> KBlock {
    let (low, high) = (at::<128>(block, 0), unpack_two_bits(at(block, 128)));
    let code = |i: usize| {
        let nibble = (low[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4)) & 0x0f;
        (nibble | high[i] << 4) as i8 - HALF_CODE
    };
    KBlock {
        scale: half_at(block, 208),
        min: 0.0,
        group_scales: at::<GROUPS>(block, 192).map(|scale| scale as i8),
        group_mins: [0; GROUPS],
        codes: std::array::from_fn(code),
    }
}

pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let groups = weights.as_chunks::<GROUP_LEN>().0;
    let fits: [f32; GROUPS] = std::array::from_fn(|g| fit::symmetric(&groups[g], HALF_CODE as u8));
    let d = fit::as_half(fit::signed_peak(&fits) / f32::from(i8::MIN));
    let scales = fits.map(|scale| fit::code(scale, d, i8::MIN, i8::MAX));
    let codes: [u8; LEN] = std::array::from_fn(|i| {
        let scale = d * f32::from(scales[i / GROUP_LEN]);
        (fit::code(weights[i], scale, -HALF_CODE, HALF_CODE - 1) + HALF_CODE) as u8
    });
    let mut block = [0; BYTES];
    for (byte, low) in block[..128].iter_mut().enumerate() {
        let first = byte / 64 * 128 + byte % 64;
        *low = (codes[first] & 0x0f) | (codes[first + 64] & 0x0f) << 4;
    }
    block[128..192].copy_from_slice(&pack_two_bits(&codes.map(|code| code >> 4)));
    block[192..208].copy_from_slice(&scales.map(|scale| scale as u8));
    block[208..].copy_from_slice(&half_bytes(d)?);
    Some(block)
}
