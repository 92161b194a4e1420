//! F16: IEEE 754 binary16, two bytes a weight, little-endian; rounds to nearest even.
use half::f16;

pub(super) fn decode(bits: [u8; 2]) -> f32 {
    f16::from_le_bytes(bits).to_f32()
}

pub(super) fn encode(weight: f32) -> [u8; 2] {
    f16::from_f32(weight).to_le_bytes()
}
