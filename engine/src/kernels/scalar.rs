//! The reference: plain loops over unpacked blocks, for reading and for comparing, and for CPUs without anything else.
use half::{bf16, f16};

use super::activations::{
    ActivationFormat, ActivationRow, Activations, LARGE, LARGE_LINES, LINE, SMALL,
};
use super::packed::{self, TileOutput};
use super::set::{KernelSet, WeightRows};
use crate::quant::k_block::{GROUP_LEN, KBlock};
use crate::quant::small_block::SmallBlock;
use crate::quant::{BlockFormat, dequantize_row, k_blocks, small_blocks};

/// Largest code of an activation.
const TOP: f32 = 127.0;

/// Adding 1.5 * 2^23 leaves the nearest whole number in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// The portable kernels; every CPU can run them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scalar;

impl KernelSet for Scalar {
    fn name(&self) -> &'static str {
        "scalar"
    }

    fn quantize(&self, source: &[f32], row: ActivationRow<'_>) {
        quantize(source, row);
    }

    fn multiply(
        &self,
        weights: WeightRows<'_>,
        activations: &Activations,
        first: usize,
        outputs: &mut [&mut [f32]],
    ) {
        for (r, bytes) in weights.rows().enumerate() {
            let row = Row::unpack(weights.format(), weights.cols(), bytes);
            for (column, output) in outputs.iter_mut().enumerate() {
                if let Some(output) = output.get_mut(r) {
                    *output = row.dot(activations, first + column);
                }
            }
        }
    }

    fn tile(
        &self,
        format: BlockFormat,
        width: usize,
        weights: &[u8],
        panel: &[u8],
        output: &mut TileOutput,
    ) {
        packed::tile(packed::Portable, format, width, weights, panel, output);
    }

    fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }
}

/// Fills one row of activations. Generic loops: every instruction set compiles them for itself, so that all agree.
#[inline(always)]
pub(super) fn quantize(source: &[f32], mut row: ActivationRow<'_>) {
    match row.format {
        ActivationFormat::F32 => row.floats.copy_from_slice(source),
        ActivationFormat::F16 => round(source, row.floats, |value| f16::from_f32(value).to_f32()),
        ActivationFormat::BF16 => round(source, row.floats, |value| bf16::from_f32(value).to_f32()),
        ActivationFormat::Q8_0 | ActivationFormat::Q8_1 => quantize_small(source, &mut row),
        ActivationFormat::Q8_K => quantize_large(source, &mut row),
    }
}

#[inline(always)]
fn round(source: &[f32], floats: &mut [f32], round: impl Fn(f32) -> f32) {
    for (value, float) in source.iter().zip(floats) {
        *float = round(*value);
    }
}

/// Q8_0 and Q8_1: `d = amax / 127`, codes rounded half to even, `s = d * sum` of the codes. ggml rounds `d` and `s` to
/// 16 bits; nothing is gained by that here.
#[inline(always)]
pub(super) fn quantize_small(source: &[f32], row: &mut ActivationRow<'_>) {
    for (block, values) in source.as_chunks::<SMALL>().0.iter().enumerate() {
        let peak = magnitude(values);
        let scale = peak / TOP;
        let codes = &mut row.lines[block * SMALL / LINE].0.as_chunks_mut::<SMALL>().0
            [block % (LINE / SMALL)];
        let sum = encode(values, finite(TOP / peak), codes);
        row.scales[block] = scale;
        if let Some(place) = row.sums.get_mut(block) {
            *place = scale * sum as f32;
        }
    }
}

/// Q8_K: the value of largest magnitude takes code -127, `d` is the inverse of the factor used.
#[inline(always)]
pub(super) fn quantize_large(source: &[f32], row: &mut ActivationRow<'_>) {
    for (block, values) in source.as_chunks::<LARGE>().0.iter().enumerate() {
        let magnitude = magnitude(values);
        let peak =
            values.iter().find(|value| value.abs() == magnitude).copied().unwrap_or(f32::NAN);
        let inverse = finite(-TOP / peak);
        let lines = row.lines[block * LARGE_LINES..]
            .iter_mut()
            .flat_map(|line| line.0.as_chunks_mut::<GROUP_LEN>().0);
        let groups =
            values.as_chunks::<GROUP_LEN>().0.iter().zip(lines).zip(&mut row.group_sums[block]);
        for ((values, codes), sum) in groups {
            *sum = encode(values, inverse, codes) as i16;
        }
        row.scales[block] = if peak.is_nan() { peak } else { finite(1.0 / inverse) };
    }
}

/// Rounds half to even; gives the sum of the codes. Codes lie in -127..=127 because `inverse` came from the peak; a block
/// with a number that is not finite gets any codes, since its scale is not finite either.
#[inline(always)]
fn encode<const N: usize>(values: &[f32; N], inverse: f32, codes: &mut [i8; N]) -> i32 {
    let mut sum = 0;
    for (code, value) in codes.iter_mut().zip(values) {
        *code = (value * inverse + ROUNDER).to_bits() as i8;
        sum += i32::from(*code);
    }
    sum
}

/// The largest magnitude; NaN if there is one. Compares bit patterns, which order alike and need no NaN rules.
#[inline(always)]
fn magnitude(values: &[f32]) -> f32 {
    f32::from_bits(values.iter().map(|value| value.to_bits() & 0x7fff_ffff).fold(0, u32::max))
}

/// 0 for a block of zeros, or of values too small for their inverse.
#[inline(always)]
fn finite(inverse: f32) -> f32 {
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// One weight row, unpacked.
enum Row {
    Floats(Vec<f32>),
    Small(Vec<SmallBlock>),
    Large(Vec<KBlock>),
}

impl Row {
    fn unpack(format: BlockFormat, cols: usize, bytes: &[u8]) -> Self {
        if let Some(blocks) = small_blocks(format, bytes) {
            return Self::Small(blocks);
        }
        if let Some(blocks) = k_blocks(format, bytes) {
            return Self::Large(blocks);
        }
        let mut floats = vec![0.0; cols];
        // Lengths were checked by `WeightRows`.
        let _ = dequantize_row(format, bytes, &mut floats);
        Self::Floats(floats)
    }

    fn dot(&self, activations: &Activations, column: usize) -> f32 {
        match self {
            Self::Floats(floats) => Scalar.dot(floats, activations.floats(column)),
            Self::Small(blocks) => dot_small(blocks, activations, column),
            Self::Large(blocks) => dot_large(blocks, activations, column),
        }
    }
}

fn dot_small(blocks: &[SmallBlock], activations: &Activations, column: usize) -> f32 {
    let (lines, scales, sums) =
        (activations.lines(column), activations.scales(column), activations.sums(column));
    let mut total = 0.0;
    for (b, block) in blocks.iter().enumerate() {
        let first = b % (LINE / SMALL) * SMALL;
        let codes = &lines[b * SMALL / LINE].0[first..first + SMALL];
        total += block.scale * scales[b] * integer_dot(&block.codes, codes) as f32;
        if let (Some(min), Some(sum)) = (block.min, sums.get(b)) {
            total += min * sum;
        }
    }
    total
}

fn dot_large(blocks: &[KBlock], activations: &Activations, column: usize) -> f32 {
    let lines = activations.lines(column).as_chunks::<LARGE_LINES>().0;
    let mut total = 0.0;
    for (b, block) in blocks.iter().enumerate() {
        let groups = block.codes.as_chunks::<GROUP_LEN>().0;
        let (mut products, mut mins) = (0, 0);
        for (g, codes) in groups.iter().enumerate() {
            let first = g * GROUP_LEN;
            let other = &lines[b][first / LINE].0[first % LINE..first % LINE + GROUP_LEN];
            products += i32::from(block.group_scales[g]) * integer_dot(codes, other);
            mins +=
                i32::from(block.group_mins[g]) * i32::from(activations.group_sums(column)[b][g]);
        }
        let scale = activations.scales(column)[b];
        total += block.scale * scale * products as f32 - block.min * scale * mins as f32;
    }
    total
}

fn integer_dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}
