//! The 12 bytes in which Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minima.
//!
//! Bytes 0..4 hold scales 0..4 in their low 6 bits, bytes 4..8 minima 0..4; the upper 2 bits of each belong to scale
//! or minimum 4..8, whose low 4 bits stand in bytes 8..12 (scale in the low nibble, minimum in the high one).

/// Groups of 32 weights in a block.
pub(super) const GROUPS: usize = 8;

/// Scales and minima, each below 64.
pub(super) fn unpack(packed: &[u8; 12]) -> ([u8; GROUPS], [u8; GROUPS]) {
    let scale = |g: usize| match g {
        0..4 => packed[g] & 63,
        _ => (packed[g + 4] & 0x0f) | (packed[g - 4] >> 6) << 4,
    };
    let min = |g: usize| match g {
        0..4 => packed[g + 4] & 63,
        _ => (packed[g + 4] >> 4) | (packed[g] >> 6) << 4,
    };
    (std::array::from_fn(scale), std::array::from_fn(min))
}

/// The inverse of [`unpack`].
pub(super) fn pack(scales: [u8; GROUPS], mins: [u8; GROUPS]) -> [u8; 12] {
    std::array::from_fn(|i| match i {
        0..4 => scales[i] | (scales[i + 4] >> 4) << 6,
        4..8 => mins[i - 4] | (mins[i] >> 4) << 6,
        _ => (scales[i - 4] & 0x0f) | (mins[i - 4] & 0x0f) << 4,
    })
}

/// Repeats each value for the two groups of 16 that it covers.
pub(super) fn twice(values: [u8; GROUPS]) -> [u8; 2 * GROUPS] {
    std::array::from_fn(|g| values[g / 2])
}
