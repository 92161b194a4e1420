//! The register operations that the kernels are written in, over 64 codes, 16 sums or 16 floats at a time.
//!
//! Those on the few scales of a block use 128 and 256 bits in every set, and stand here.
#![allow(
    clippy::wildcard_imports,
    reason = "the names of intrinsics are long, many and unmistakable"
)]
#![allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "read from memory into a register in one load"
)]
#![expect(
    unsafe_code,
    reason = "intrinsics of AVX2, FMA and F16C, which every implementor of `Isa` has"
)]

use std::arch::x86_64::*;

use super::super::activations::Line;

/// Lanes of [`Isa::Sums`] and [`Isa::Floats`].
pub(super) const LANES: usize = 16;

/// An instruction set. A value of it proves that the CPU has the set, so its operations are safe to call; they become
/// single instructions only inside the functions of `Loops`, which are compiled for the set.
///
/// # Safety
/// Whoever implements this must let a value exist only where the CPU has at least AVX2, FMA and F16C.
pub(super) unsafe trait Isa: Copy {
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
    fn group_scales(self, scales: __m128i, line: usize) -> Self::Sums;
    /// `sums + dot * scales`.
    fn multiply_add(self, sums: Self::Sums, dot: Self::Sums, scales: Self::Sums) -> Self::Sums;
    /// Products summed by twos in the low lanes, zero in the rest.
    fn dot_groups(self, a: __m256i, b: &[i16; 16]) -> Self::Sums;
    fn subtract_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;

    fn floats(self, sums: Self::Sums) -> Self::Floats;
    fn splat(self, value: f32) -> Self::Floats;
    /// The first value in the first 8 lanes, the second in the last 8.
    fn pair(self, values: &[f32; 2]) -> Self::Floats;
    /// The scales (values 0 and 2) of two blocks, as [`Self::pair`].
    fn head_scales(self, heads: __m128) -> Self::Floats;
    fn multiply(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b + c`, rounded once.
    fn fused(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    fn sum(self, floats: Self::Floats) -> f32;
    fn load(self, floats: &[f32; LANES]) -> Self::Floats;
    fn load_f16(self, bits: &[u8; 2 * LANES]) -> Self::Floats;
    fn load_bf16(self, bits: &[u8; 2 * LANES]) -> Self::Floats;

    /// The first two 16-bit floats of two blocks: scale and (where there is one) minimum of the first, of the second.
    #[inline(always)]
    fn heads(self, first: [u8; 4], second: [u8; 4]) -> __m128 {
        // SAFETY: implementors have F16C.
        unsafe {
            let first = _mm_cvtsi32_si128(i32::from_le_bytes(first));
            _mm_cvtph_ps(_mm_insert_epi32::<1>(first, i32::from_le_bytes(second)))
        }
    }

    /// `total + minimum * sum` for two blocks, in the first two lanes.
    #[inline(always)]
    fn add_mins(self, heads: __m128, sums: &[f32; 2], total: __m128) -> __m128 {
        // SAFETY: implementors have FMA; 8 bytes of two floats are read.
        unsafe {
            let mins = _mm_shuffle_ps::<0b11_01_11_01>(heads, heads);
            _mm_fmadd_ps(mins, _mm_castpd_ps(_mm_load_sd(sums.as_ptr().cast())), total)
        }
    }

    /// The sum of the first two lanes.
    #[inline(always)]
    fn sum_mins(self, total: __m128) -> f32 {
        // SAFETY: implementors have AVX2.
        unsafe { _mm_cvtss_f32(_mm_add_ss(total, _mm_movehdup_ps(total))) }
    }

    #[inline(always)]
    fn zero_mins(self) -> __m128 {
        // SAFETY: implementors have AVX2.
        unsafe { _mm_setzero_ps() }
    }

    /// 16 scales as they are.
    #[inline(always)]
    fn scale_bytes(self, bytes: &[u8; 16]) -> __m128i {
        // SAFETY: implementors have AVX2; 16 bytes are read.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    /// The bits of 16 scales selected by `mask`, after a shift right.
    #[inline(always)]
    fn scale_bits<const SHIFT: i32>(self, scales: __m128i, mask: u8) -> __m128i {
        // SAFETY: implementors have AVX2.
        unsafe { _mm_and_si128(_mm_srli_epi16::<SHIFT>(scales), _mm_set1_epi8(mask as i8)) }
    }

    /// 8 scales, each for two groups.
    #[inline(always)]
    fn scales_doubled(self, [low, high]: [u32; 2]) -> __m128i {
        // SAFETY: implementors have AVX2.
        unsafe {
            let scales = _mm_cvtsi64_si128((u64::from(low) | u64::from(high) << 32) as i64);
            _mm_unpacklo_epi8(scales, scales)
        }
    }

    /// 16 scales of 6 bits with their centre taken off.
    #[inline(always)]
    fn scales_centred(self, [a, b, c, d]: [u32; 4]) -> __m128i {
        // SAFETY: implementors have AVX2.
        unsafe {
            _mm_sub_epi8(_mm_setr_epi32(a as i32, b as i32, c as i32, d as i32), _mm_set1_epi8(32))
        }
    }

    /// 16 minima in 16 bits, times 2 to the power `SHIFT`.
    #[inline(always)]
    fn mins<const SHIFT: i32>(self, bytes: __m128i) -> __m256i {
        // SAFETY: implementors have AVX2.
        unsafe { _mm256_slli_epi16::<SHIFT>(_mm256_cvtepi8_epi16(bytes)) }
    }
}
