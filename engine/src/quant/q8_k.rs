//! Q8_K: 256 values in 292 bytes; value = d * code. The partner of the K formats; not used for weights.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | d, f32 |
//! | 4..260 | codes, i8 |
//! | 260..292 | sums of each 16 codes, i16 |
use super::bytes::at;
use super::fit::signed_peak;
use super::k_block::{GROUP_LEN, GROUPS, KBlock, LEN};

const BYTES: usize = 292;

pub(super) fn unpack(block: &[u8; BYTES]) -> KBlock {
    KBlock {
        scale: f32::from_le_bytes(*at(block, 0)),
        min: 0.0,
        group_scales: [1; GROUPS],
        group_mins: [0; GROUPS],
        codes: at::<LEN>(block, 4).map(|code| code as i8),
    }
}

/// The value of largest magnitude takes code -127; halves round to even. Zero when all are too small for `f32`.
pub(super) fn quantize(weights: &[f32; LEN]) -> [u8; BYTES] {
    let inverse = -127.0 / signed_peak(weights);
    if !inverse.is_finite() {
        return [0; BYTES];
    }
    let codes = weights.map(|weight| (weight * inverse).round_ties_even().min(127.0) as i8);
    let mut block = [0; BYTES];
    block[..4].copy_from_slice(&(1.0 / inverse).to_le_bytes());
    block[4..260].copy_from_slice(&codes.map(|code| code as u8));
    for (sum, group) in
        block[260..].as_chunks_mut().0.iter_mut().zip(codes.as_chunks::<GROUP_LEN>().0)
    {
        *sum = group.iter().map(|code| i16::from(*code)).sum::<i16>().to_le_bytes();
    }
    block
}
