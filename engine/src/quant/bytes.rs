//! Small helpers over the bytes of a block.
use half::f16;

/// The `N` bytes at a fixed place of a block.
#[inline(always)]
pub(super) fn at<const N: usize>(block: &[u8], offset: usize) -> &[u8; N] {
    &block[offset..].as_chunks().0[0]
}

/// The 16-bit float at a fixed place of a block.
#[inline(always)]
pub(super) fn half_at(block: &[u8], offset: usize) -> f32 {
    f16::from_le_bytes(*at(block, offset)).to_f32()
}

/// A scale as the bytes of a 16-bit float (round to nearest even), or `None` when it overflows.
pub(super) fn half_bytes(scale: f32) -> Option<[u8; 2]> {
    let half = f16::from_f32(scale);
    half.is_finite().then(|| half.to_le_bytes())
}

/// Decodes value by value.
pub(super) fn each<const N: usize>(
    bytes: &[u8],
    weights: &mut [f32],
    decode: impl Fn([u8; N]) -> f32,
) {
    for (bits, weight) in bytes.as_chunks().0.iter().zip(weights) {
        *weight = decode(*bits);
    }
}

/// Encodes value by value.
pub(super) fn fill<const N: usize>(
    weights: &[f32],
    bytes: &mut [u8],
    encode: impl Fn(f32) -> [u8; N],
) {
    for (weight, bits) in weights.iter().zip(bytes.as_chunks_mut().0) {
        *bits = encode(*weight);
    }
}
