//! A 32-weight block after unpacking: what all formats of the Q4_0 family have in common.

/// Weights in a block.
pub const LEN: usize = 32;

/// Weight `i` is `scale * codes[i] + min`.
#[derive(Debug, Clone, PartialEq)]
pub struct SmallBlock {
    /// Factor of the codes.
    pub scale: f32,
    /// Smallest weight, of formats that have one.
    pub min: Option<f32>,
    /// Whole numbers, centred already in formats without `min`.
    pub codes: [i8; LEN],
}

impl SmallBlock {
    /// Writes the 32 weights, with the rounding order of ggml.
    pub fn dequantize(&self, weights: &mut [f32; LEN]) {
        for (weight, code) in weights.iter_mut().zip(self.codes) {
            let scaled = self.scale * f32::from(code);
            *weight = match self.min {
                Some(min) => scaled + min,
                None => scaled,
            };
        }
    }
}

/// Splits 16 bytes in 32 nibbles: the low halves first, then the high halves.
pub(super) fn nibbles(bytes: &[u8; 16]) -> [u8; LEN] {
    std::array::from_fn(|i| if i < 16 { bytes[i] & 0x0f } else { bytes[i - 16] >> 4 })
}

/// The inverse of [`nibbles`]; codes are below 16.
pub(super) fn pack_nibbles(codes: &[u8; LEN]) -> [u8; 16] {
    std::array::from_fn(|i| codes[i] | (codes[i + 16] << 4))
}

/// Adds bit `i` of `high` to code `i` as its fifth bit.
pub(super) fn with_fifth_bit(nibbles: [u8; LEN], high: [u8; 4]) -> [u8; LEN] {
    let high = u32::from_le_bytes(high);
    std::array::from_fn(|i| nibbles[i] | (((high >> i) & 1) as u8) << 4)
}

/// Splits 5-bit codes: the fifth bits, and the nibbles.
pub(super) fn split_fifth_bit(codes: &[u8; LEN]) -> ([u8; 4], [u8; LEN]) {
    let high = (0..LEN).fold(0_u32, |bits, i| bits | u32::from(codes[i] >> 4) << i);
    (high.to_le_bytes(), codes.map(|code| code & 0x0f))
}

/// The weight of the largest magnitude, with its sign; the first of equals.
pub(super) fn signed_peak(weights: &[f32; LEN]) -> f32 {
    weights
        .iter()
        .fold(0.0, |peak: f32, weight| if weight.abs() > peak.abs() { *weight } else { peak })
}

/// Smallest and largest weight.
pub(super) fn range(weights: &[f32; LEN]) -> (f32, f32) {
    weights.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), weight| {
        (low.min(*weight), high.max(*weight))
    })
}

/// `1 / scale`, and 0 for a block of zeros.
pub(super) fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}
