//! BF16: the upper half of an `f32`, two bytes a weight, little-endian; rounds to nearest even, NaN stays a quiet NaN.

pub(super) fn decode(bits: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bits)) << 16)
}

pub(super) fn encode(weight: f32) -> [u8; 2] {
    let bits = weight.to_bits();
    let upper = if weight.is_nan() {
        (bits >> 16) | 0x40
    } else {
        // Finite bits plus the rounding term cannot carry out of 32 bits: the largest is infinity.
        (bits + 0x7fff + ((bits >> 16) & 1)) >> 16
    };
    (upper as u16).to_le_bytes()
}
