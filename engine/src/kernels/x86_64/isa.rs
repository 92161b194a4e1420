//! The register operations that the kernels are written in, over 64 codes, 16 sums or 16 floats at a time.
use super::super::activations::{ActivationRow, Line};
use super::float::FloatFormat;
use super::large::LargeFormat;
use super::multiply::Job;
use super::small::SmallFormat;

/// Lanes of [`Isa::Sums`] and [`Isa::Floats`].
pub(super) const LANES: usize = 16;

/// An instruction set. A value of it proves that the CPU has the set, so its operations are safe to call; they become
/// single instructions only inside the `run_*` functions, which are compiled for the set.
pub(super) trait Isa: Copy {
    /// 64 codes of 8 bits.
    type Codes: Copy;
    /// 64 signed weights, prepared for [`Self::dot_signed`].
    type Signed: Copy;
    /// 16 whole numbers of 32 bits; lane `i` of a dot product covers codes `4 i .. 4 i + 4`.
    type Sums: Copy;
    /// 16 floats.
    type Floats: Copy;

    /// One 16-bit float.
    fn half(self, bits: [u8; 2]) -> f32;

    fn line(self, line: &Line) -> Self::Codes;
    /// `low`, then `high`.
    fn halves(self, low: &[u8; 32], high: &[u8; 32]) -> Self::Codes;
    /// `low` twice, then `high` twice.
    fn twice(self, low: &[u8; 16], high: &[u8; 16]) -> Self::Codes;
    /// Shifts quarter `i` (16 codes) right by `counts[i]` bits; `mask` removes what comes from neighbouring codes.
    fn shift_right(self, codes: Self::Codes, counts: [i64; 4], mask: u8) -> Self::Codes;
    /// Shifts left by `N`; no code may lose a bit.
    fn shift_left<const N: u32>(self, codes: Self::Codes) -> Self::Codes;
    fn or(self, a: Self::Codes, b: Self::Codes) -> Self::Codes;
    fn subtract(self, codes: Self::Codes, value: u8) -> Self::Codes;
    /// `value` where the bit of that number is set, else 0.
    fn spread(self, bits: u64, value: u8) -> Self::Codes;

    fn signed(self, weights: Self::Codes) -> Self::Signed;
    /// Dot products of signed weights with activations (-127..=127).
    fn dot_signed(self, weights: Self::Signed, activations: Self::Codes) -> Self::Sums;
    /// Dot products of weights 0..=63 with activations (-127..=127).
    fn dot_unsigned(self, weights: Self::Codes, activations: Self::Codes) -> Self::Sums;

    fn zero_sums(self) -> Self::Sums;
    /// The scales of the four groups of 16 codes in line `line` of a block, each in the lanes of its group.
    fn group_scales(self, scales: &[i8; 16], line: usize) -> Self::Sums;
    /// `sums + dot * scales`.
    fn multiply_add(self, sums: Self::Sums, dot: Self::Sums, scales: Self::Sums) -> Self::Sums;
    /// Products summed by twos in the low lanes, zero in the rest.
    fn dot_groups(self, a: &[i16; 16], b: &[i16; 16]) -> Self::Sums;
    fn subtract_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;

    fn floats(self, sums: Self::Sums) -> Self::Floats;
    fn splat(self, value: f32) -> Self::Floats;
    /// `low` in the first 8 lanes, `high` in the last 8.
    fn pair(self, low: f32, high: f32) -> Self::Floats;
    fn multiply(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b + c`, rounded once.
    fn fused(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    fn sum(self, floats: Self::Floats) -> f32;
    fn load(self, floats: &[f32; LANES]) -> Self::Floats;
    fn load_f16(self, bits: &[u8; 2 * LANES]) -> Self::Floats;
    fn load_bf16(self, bits: &[u8; 2 * LANES]) -> Self::Floats;
    fn store(self, floats: Self::Floats, to: &mut [f32; LANES]);

    /// The loops, compiled for this set.
    fn run_small<F: SmallFormat<B>, const B: usize, const N: usize>(self, job: &mut Job<'_, '_, N>);
    fn run_large<F: LargeFormat<B>, const B: usize, const N: usize>(self, job: &mut Job<'_, '_, N>);
    fn run_float<F: FloatFormat<B>, const B: usize, const N: usize>(self, job: &mut Job<'_, '_, N>);
    fn run_quantize(self, source: &[f32], row: ActivationRow<'_>);
    fn run_dot<T: super::vector::Element>(self, a: &[T], b: &[f32]) -> f32;
    fn run_axpy<T: super::vector::Element>(self, factor: f32, x: &[T], y: &mut [f32]);
}
