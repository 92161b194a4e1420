//! A 256-weight block after unpacking: what all K formats have in common.

/// Weights in a block.
pub const LEN: usize = 256;
/// Groups of weights that share a scale; formats with groups of 32 fill two places alike.
pub const GROUPS: usize = 16;
/// Weights in a group.
pub const GROUP_LEN: usize = LEN / GROUPS;

/// Weight `i` of group `g = i / 16` is `scale * group_scales[g] * codes[i] - min * group_mins[g]`.
#[derive(Debug, Clone, PartialEq)]
pub struct KBlock {
    /// Factor of all group scales.
    pub scale: f32,
    /// Factor of all group minima; 0 in formats without.
    pub min: f32,
    /// Small whole factors.
    pub group_scales: [i8; GROUPS],
    /// Small whole minima.
    pub group_mins: [u8; GROUPS],
    /// Whole numbers, centred already in formats without minima.
    pub codes: [i8; LEN],
}

impl KBlock {
    /// Writes the 256 weights, with the rounding order of ggml.
    pub fn dequantize(&self, weights: &mut [f32; LEN]) {
        let groups = weights
            .as_chunks_mut::<GROUP_LEN>()
            .0
            .iter_mut()
            .zip(self.codes.as_chunks::<GROUP_LEN>().0);
        for (g, (weights, codes)) in groups.enumerate() {
            let scale = self.scale * f32::from(self.group_scales[g]);
            let min = self.min * f32::from(self.group_mins[g]);
            for (weight, code) in weights.iter_mut().zip(codes) {
                *weight = scale * f32::from(*code) - min;
            }
        }
    }
}
