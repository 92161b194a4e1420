//! Q3_K: 256 weights in 110 bytes; 16 groups of 16; weight = d * (scale - 32) * (code - 4).
//!
//! | bytes | what |
//! |---|---|
//! | 0..32 | third bits: bit b of byte i belongs to code 32 * b + i |
//! | 32..96 | low 2 bits, as in Q2_K |
//! | 96..108 | scales, 6 bits: low nibbles of bytes 0..8 (groups 0..8), their high nibbles (groups 8..16); bytes 8..12 hold the upper 2 bits of groups i, i + 4, i + 8, i + 12 |
//! | 108..110 | d, f16 |
use super::bytes::{at, half_at, half_bytes};
use super::fit;
use super::k_block::{GROUP_LEN, GROUPS, KBlock, LEN};
use super::q2_k::{pack_two_bits, unpack_two_bits};

const BYTES: usize = 110;
const HALF_CODE: u8 = 4;
const HALF_SCALE: i8 = 32;

pub(super) fn unpack(block: &[u8; BYTES]) -> KBlock {
    let (high, low) = (at::<32>(block, 0), unpack_two_bits(at(block, 32)));
    let code = |i: usize| (low[i] | ((high[i % 32] >> (i / 32)) & 1) << 2) as i8 - HALF_CODE as i8;
    KBlock {
        scale: half_at(block, 108),
        min: 0.0,
        group_scales: unpack_scales(at(block, 96)).map(|scale| scale as i8 - HALF_SCALE),
        group_mins: [0; GROUPS],
        codes: std::array::from_fn(code),
    }
}

fn unpack_scales(packed: &[u8; 12]) -> [u8; GROUPS] {
    std::array::from_fn(|g| {
        let low = (packed[g % 8] >> (g / 8 * 4)) & 0x0f;
        let high = (packed[8 + g % 4] >> (g / 4 * 2)) & 3;
        low | high << 4
    })
}

fn pack_scales(scales: &[u8; GROUPS]) -> [u8; 12] {
    std::array::from_fn(|byte| match byte {
        0..8 => (scales[byte] & 0x0f) | (scales[byte + 8] & 0x0f) << 4,
        _ => (0..4).fold(0, |bits, i| bits | (scales[byte - 8 + 4 * i] >> 4) << (2 * i)),
    })
}

pub(super) fn quantize(weights: &[f32; LEN]) -> Option<[u8; BYTES]> {
    let groups = weights.as_chunks::<GROUP_LEN>().0;
    let fits: [f32; GROUPS] = std::array::from_fn(|g| fit::symmetric(&groups[g], HALF_CODE));
    let d = fit::as_half(fit::signed_peak(&fits) / -f32::from(HALF_SCALE));
    let scales = fits.map(|scale| fit::code(scale, d, -HALF_SCALE, HALF_SCALE - 1));
    let codes: [u8; LEN] = std::array::from_fn(|i| {
        let scale = d * f32::from(scales[i / GROUP_LEN]);
        (fit::code(weights[i], scale, -(HALF_CODE as i8), HALF_CODE as i8 - 1) + HALF_CODE as i8)
            as u8
    });
    let mut block = [0; BYTES];
    for (byte, high) in block[..32].iter_mut().enumerate() {
        *high = (0..8).fold(0, |bits, i| bits | (codes[32 * i + byte] >> 2) << i);
    }
    block[32..96].copy_from_slice(&pack_two_bits(&codes.map(|code| code & 3)));
    block[96..108].copy_from_slice(&pack_scales(&scales.map(|scale| (scale + HALF_SCALE) as u8)));
    block[108..].copy_from_slice(&half_bytes(d)?);
    Some(block)
}
