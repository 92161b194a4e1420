//! AVX2 with FMA and F16C: 64 codes, 16 sums or 16 floats in two registers.
//!
//! `vpmaddubsw` multiplies unsigned with signed bytes and adds by twos in 16 bits, which weights up to 63 (and 128
//! against +-127) cannot overflow. For signed weights their sign moves to the activations.
#![expect(
    unsafe_code,
    reason = "intrinsics of an instruction set that the value of `Avx2` proves to be there"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "the names of intrinsics are long, many and unmistakable"
)]

use std::arch::x86_64::*;

use super::super::activations::{ActivationRow, Line};
use super::float::{self, FloatFormat};
use super::isa::{Isa, LANES};
use super::job::Job;
use super::large::{self, LargeFormat};
use super::loops::Loops;
use super::small::{self, SmallFormat};
use super::vector;
use crate::kernels::packed::{Avx2Tiles, UnitFill, fill_unit};
use crate::kernels::pointwise::{Pointwise, compute};
use crate::kernels::scalar::quantize;

/// Proof that the CPU has AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Avx2(Avx2Tiles);

impl Avx2 {
    /// `None` when the CPU (or the operating system) lacks a feature.
    pub(in crate::kernels) fn new() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        if found { Avx2Tiles::new().map(Self) } else { None }
    }

    pub(super) fn tiles(self) -> Avx2Tiles {
        self.0
    }
}

/// The low and the high half of 64 bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Two<T> {
    low: T,
    high: T,
}

impl<T: Copy> Two<T> {
    #[inline(always)]
    fn map<U>(self, each: impl Fn(T) -> U) -> Two<U> {
        Two { low: each(self.low), high: each(self.high) }
    }

    #[inline(always)]
    fn zip<U: Copy, V>(self, other: Two<U>, each: impl Fn(T, U) -> V) -> Two<V> {
        Two { low: each(self.low, other.low), high: each(self.high, other.high) }
    }
}

/// Weights and their magnitudes.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Signed {
    weights: Two<__m256i>,
    magnitudes: Two<__m256i>,
}

/// Sums of four products each.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn dot(unsigned: __m256i, signed: __m256i) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_madd_epi16(_mm256_maddubs_epi16(unsigned, signed), _mm256_set1_epi16(1)) }
}

// SAFETY: `Avx2::new` is the only way to a value, and it checks the features that `Isa` asks for.
unsafe impl Isa for Avx2 {
    // Safety of every block below: `self` exists only where the CPU has the features, and pointers come from references
    // to arrays of the size that is read or written.

    type Codes = Two<__m256i>;
    type Signed = Signed;
    type Sums = Two<__m256i>;
    type Floats = Two<__m256>;

    #[inline(always)]
    fn half(self, bits: [u8; 2]) -> f32 {
        // SAFETY: see the head of this impl.
        unsafe {
            _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(u16::from_le_bytes(bits)))))
        }
    }

    #[inline(always)]
    fn line(self, line: &Line) -> Two<__m256i> {
        // SAFETY: see the head of this impl; lines are aligned to 64 bytes.
        unsafe {
            let start: *const __m256i = line.0.as_ptr().cast();
            Two { low: _mm256_load_si256(start), high: _mm256_load_si256(start.add(1)) }
        }
    }

    #[inline(always)]
    fn halves(self, low: &[u8; 32], high: &[u8; 32]) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        Two { low, high }.map(|half| unsafe { _mm256_loadu_si256(half.as_ptr().cast()) })
    }

    #[inline(always)]
    fn twice(self, low: &[u8; 16], high: &[u8; 16]) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        Two { low, high }.map(|half| unsafe {
            _mm256_broadcastsi128_si256(_mm_loadu_si128(half.as_ptr().cast()))
        })
    }

    #[inline(always)]
    fn shift_right(self, codes: Two<__m256i>, [a, b, c, d]: [i64; 4], mask: u8) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        codes.zip(Two { low: [a, b], high: [c, d] }, |codes, [a, b]| unsafe {
            let shifted = _mm256_srlv_epi64(codes, _mm256_setr_epi64x(a, a, b, b));
            _mm256_and_si256(shifted, _mm256_set1_epi8(mask as i8))
        })
    }

    #[inline(always)]
    fn shift_left<const N: u32>(self, codes: Two<__m256i>) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        codes.map(|codes| unsafe { _mm256_sll_epi16(codes, _mm_cvtsi32_si128(N as i32)) })
    }

    #[inline(always)]
    fn or(self, a: Two<__m256i>, b: Two<__m256i>) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        a.zip(b, |a, b| unsafe { _mm256_or_si256(a, b) })
    }

    #[inline(always)]
    fn subtract(self, codes: Two<__m256i>, value: u8) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        codes.map(|codes| unsafe { _mm256_sub_epi8(codes, _mm256_set1_epi8(value as i8)) })
    }

    #[inline(always)]
    fn spread(self, bits: u64, value: u8) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        Two { low: bits as i32, high: (bits >> 32) as i32 }.map(|bits| unsafe {
            let bytes = _mm256_setr_epi64x(
                0,
                0x0101_0101_0101_0101,
                0x0202_0202_0202_0202,
                0x0303_0303_0303_0303,
            );
            let select = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
            let spread =
                _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), bytes), select);
            _mm256_and_si256(_mm256_cmpeq_epi8(spread, select), _mm256_set1_epi8(value as i8))
        })
    }

    #[inline(always)]
    fn signed(self, weights: Two<__m256i>) -> Signed {
        // SAFETY: see the head of this impl.
        Signed { weights, magnitudes: weights.map(|weights| unsafe { _mm256_abs_epi8(weights) }) }
    }

    #[inline(always)]
    fn dot_signed(self, weights: Signed, activations: Two<__m256i>) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        let signed = activations.zip(weights.weights, |activations, weights| unsafe {
            _mm256_sign_epi8(activations, weights)
        });
        // SAFETY: see the head of this impl.
        weights.magnitudes.zip(signed, |magnitudes, signed| unsafe { dot(magnitudes, signed) })
    }

    #[inline(always)]
    fn dot_unsigned(self, weights: Two<__m256i>, activations: Two<__m256i>) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        weights.zip(activations, |weights, activations| unsafe { dot(weights, activations) })
    }

    #[inline(always)]
    fn zero_sums(self) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        unsafe { Two { low: _mm256_setzero_si256(), high: _mm256_setzero_si256() } }
    }

    #[inline(always)]
    fn group_scales(self, scales: __m128i, line: usize) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        unsafe {
            let places = _mm_add_epi8(
                _mm_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
                _mm_set1_epi8(4 * line as i8),
            );
            let low = _mm_shuffle_epi8(scales, places);
            Two {
                low: _mm256_cvtepi8_epi32(low),
                high: _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(low)),
            }
        }
    }

    #[inline(always)]
    fn multiply_add(
        self,
        sums: Two<__m256i>,
        dot: Two<__m256i>,
        scales: Two<__m256i>,
    ) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        let products = dot.zip(scales, |dot, scales| unsafe { _mm256_mullo_epi32(dot, scales) });
        // SAFETY: see the head of this impl.
        sums.zip(products, |sums, products| unsafe { _mm256_add_epi32(sums, products) })
    }

    #[inline(always)]
    fn dot_groups(self, a: __m256i, b: &[i16; 16]) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        unsafe {
            let b = _mm256_loadu_si256(b.as_ptr().cast());
            Two { low: _mm256_madd_epi16(a, b), high: _mm256_setzero_si256() }
        }
    }

    #[inline(always)]
    fn subtract_sums(self, a: Two<__m256i>, b: Two<__m256i>) -> Two<__m256i> {
        // SAFETY: see the head of this impl.
        a.zip(b, |a, b| unsafe { _mm256_sub_epi32(a, b) })
    }

    #[inline(always)]
    fn floats(self, sums: Two<__m256i>) -> Two<__m256> {
        // SAFETY: see the head of this impl.
        sums.map(|sums| unsafe { _mm256_cvtepi32_ps(sums) })
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Two<__m256> {
        self.pair(&[value, value])
    }

    #[inline(always)]
    fn pair(self, [low, high]: &[f32; 2]) -> Two<__m256> {
        // SAFETY: see the head of this impl.
        Two { low, high }.map(|value| unsafe { _mm256_set1_ps(*value) })
    }

    #[inline(always)]
    fn head_scales(self, heads: __m128) -> Two<__m256> {
        // SAFETY: see the head of this impl.
        unsafe {
            let high = _mm_movehl_ps(heads, heads);
            Two { low: _mm256_broadcastss_ps(heads), high: _mm256_broadcastss_ps(high) }
        }
    }

    #[inline(always)]
    fn multiply(self, a: Two<__m256>, b: Two<__m256>) -> Two<__m256> {
        // SAFETY: see the head of this impl.
        a.zip(b, |a, b| unsafe { _mm256_mul_ps(a, b) })
    }

    #[inline(always)]
    fn fused(self, a: Two<__m256>, b: Two<__m256>, c: Two<__m256>) -> Two<__m256> {
        // SAFETY: see the head of this impl.
        unsafe {
            Two {
                low: _mm256_fmadd_ps(a.low, b.low, c.low),
                high: _mm256_fmadd_ps(a.high, b.high, c.high),
            }
        }
    }

    #[inline(always)]
    fn sum(self, floats: Two<__m256>) -> f32 {
        // SAFETY: see the head of this impl.
        unsafe {
            let eight = _mm256_add_ps(floats.low, floats.high);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn load(self, floats: &[f32; LANES]) -> Two<__m256> {
        // SAFETY: see the head of this impl.
        unsafe {
            Two {
                low: _mm256_loadu_ps(floats.as_ptr()),
                high: _mm256_loadu_ps(floats.as_ptr().add(8)),
            }
        }
    }

    #[inline(always)]
    fn load_f16(self, bits: &[u8; 2 * LANES]) -> Two<__m256> {
        // SAFETY: see the head of this impl.
        unsafe {
            let start: *const __m128i = bits.as_ptr().cast();
            let low = _mm256_cvtph_ps(_mm_loadu_si128(start));
            Two { low, high: _mm256_cvtph_ps(_mm_loadu_si128(start.add(1))) }
        }
    }

    #[inline(always)]
    fn load_bf16(self, bits: &[u8; 2 * LANES]) -> Two<__m256> {
        let start: *const __m128i = bits.as_ptr().cast();
        // SAFETY: see the head of this impl.
        Two { low: start, high: start.wrapping_add(1) }.map(|start| unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(start));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        })
    }
}

// SAFETY of every block below: as above; the value proves the features that the inner functions are compiled for.
impl Loops for Avx2 {
    fn run_small<F: SmallFormat<B>, const B: usize, const N: usize>(
        self,
        job: &mut Job<'_, '_, N>,
    ) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn run<F: SmallFormat<B>, const B: usize, const N: usize>(
            isa: Avx2,
            job: &mut Job<'_, '_, N>,
        ) {
            small::rows::<Avx2, F, B, N>(isa, job);
        }
        // SAFETY: see the head of this impl.
        unsafe { run::<F, B, N>(self, job) }
    }

    fn run_large<F: LargeFormat<B>, const B: usize, const N: usize>(
        self,
        job: &mut Job<'_, '_, N>,
    ) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn run<F: LargeFormat<B>, const B: usize, const N: usize>(
            isa: Avx2,
            job: &mut Job<'_, '_, N>,
        ) {
            large::rows::<Avx2, F, B, N>(isa, job);
        }
        // SAFETY: see the head of this impl.
        unsafe { run::<F, B, N>(self, job) }
    }

    fn run_float<F: FloatFormat<B>, const B: usize, const N: usize>(
        self,
        job: &mut Job<'_, '_, N>,
    ) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn run<F: FloatFormat<B>, const B: usize, const N: usize>(
            isa: Avx2,
            job: &mut Job<'_, '_, N>,
        ) {
            float::rows::<Avx2, F, B, N>(isa, job);
        }
        // SAFETY: see the head of this impl.
        unsafe { run::<F, B, N>(self, job) }
    }

    fn run_quantize(self, source: &[f32], row: ActivationRow<'_>) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn run(source: &[f32], row: ActivationRow<'_>) {
            quantize(source, row);
        }
        // SAFETY: see the head of this impl.
        unsafe { run(source, row) }
    }

    fn run_fill_unit(self, work: &mut UnitFill<'_>) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn run(work: &mut UnitFill<'_>) {
            fill_unit(work);
        }
        // SAFETY: see the head of this impl.
        unsafe { run(work) }
    }

    fn run_dot(self, a: &[f32], b: &[f32]) -> f32 {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn run(isa: Avx2, a: &[f32], b: &[f32]) -> f32 {
            vector::dot(isa, a, b)
        }
        // SAFETY: see the head of this impl.
        unsafe { run(self, a, b) }
    }

    fn run_pointwise(self, work: Pointwise<'_>) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn run(work: Pointwise<'_>) {
            compute(work);
        }
        // SAFETY: see the head of this impl.
        unsafe { run(work) }
    }
}
