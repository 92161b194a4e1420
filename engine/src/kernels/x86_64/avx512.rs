//! AVX-512 (F, BW, DQ, VL, VNNI): 64 codes, 16 sums or 16 floats in one register.
//!
//! `vpdpbusd` multiplies unsigned with signed bytes. Unsigned weights go in as they are; for signed weights the
//! activations are made unsigned by adding 128, and the sums start from -128 times the weights.
#![expect(
    unsafe_code,
    reason = "intrinsics of an instruction set that the value of `Avx512` proves to be there"
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
use crate::kernels::packed::{Avx512Tiles, UnitFill, fill_unit};
use crate::kernels::pointwise::{Pointwise, compute};
use crate::kernels::scalar::quantize;

/// Proof that the CPU has AVX-512 F, BW, DQ, VL and VNNI, AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Avx512(Avx512Tiles);

impl Avx512 {
    /// `None` when the CPU (or the operating system) lacks a feature.
    pub(in crate::kernels) fn new() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        if found { Avx512Tiles::new().map(Self) } else { None }
    }

    pub(super) fn tiles(self) -> Avx512Tiles {
        self.0
    }
}

/// Weights and where their sums start.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Signed {
    weights: __m512i,
    start: __m512i,
}

// SAFETY: `Avx512::new` is the only way to a value, and it checks the features that `Isa` asks for.
unsafe impl Isa for Avx512 {
    // Safety of every block below: `self` exists only where the CPU has the features, and pointers come from references
    // to arrays of the size that is read or written.

    type Codes = __m512i;
    type Signed = Signed;
    type Sums = __m512i;
    type Floats = __m512;

    #[inline(always)]
    fn half(self, bits: [u8; 2]) -> f32 {
        // SAFETY: see the head of this impl.
        unsafe {
            _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(u16::from_le_bytes(bits)))))
        }
    }

    #[inline(always)]
    fn line(self, line: &Line) -> __m512i {
        // SAFETY: see the head of this impl; lines are aligned to 64 bytes.
        unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn halves(self, low: &[u8; 32], high: &[u8; 32]) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe {
            let low = _mm256_loadu_si256(low.as_ptr().cast());
            let high = _mm256_loadu_si256(high.as_ptr().cast());
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        }
    }

    #[inline(always)]
    fn twice(self, low: &[u8; 16], high: &[u8; 16]) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe {
            let low = _mm512_broadcast_i32x4(_mm_loadu_si128(low.as_ptr().cast()));
            _mm512_mask_broadcast_i32x4(low, 0xff00, _mm_loadu_si128(high.as_ptr().cast()))
        }
    }

    #[inline(always)]
    fn shift_right(self, codes: __m512i, [a, b, c, d]: [i64; 4], mask: u8) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe {
            let shifted = _mm512_srlv_epi64(codes, _mm512_setr_epi64(a, a, b, b, c, c, d, d));
            _mm512_and_si512(shifted, _mm512_set1_epi8(mask as i8))
        }
    }

    #[inline(always)]
    fn shift_left<const N: u32>(self, codes: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_slli_epi16::<N>(codes) }
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    fn subtract(self, codes: __m512i, value: u8) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_sub_epi8(codes, _mm512_set1_epi8(value as i8)) }
    }

    #[inline(always)]
    fn spread(self, bits: u64, value: u8) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_maskz_set1_epi8(bits, value as i8) }
    }

    #[inline(always)]
    fn signed(self, weights: __m512i) -> Signed {
        // SAFETY: see the head of this impl.
        unsafe {
            let zero = _mm512_setzero_si512();
            let offset = _mm512_dpbusd_epi32(zero, _mm512_set1_epi8(i8::MIN), weights);
            Signed { weights, start: _mm512_sub_epi32(zero, offset) }
        }
    }

    #[inline(always)]
    fn dot_signed(self, weights: Signed, activations: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe {
            let unsigned = _mm512_xor_si512(activations, _mm512_set1_epi8(i8::MIN));
            _mm512_dpbusd_epi32(weights.start, unsigned, weights.weights)
        }
    }

    #[inline(always)]
    fn dot_unsigned(self, weights: __m512i, activations: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_dpbusd_epi32(_mm512_setzero_si512(), weights, activations) }
    }

    #[inline(always)]
    fn zero_sums(self) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn group_scales(self, scales: __m128i, line: usize) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe {
            let places = _mm_add_epi8(
                _mm_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
                _mm_set1_epi8(4 * line as i8),
            );
            _mm512_cvtepi8_epi32(_mm_shuffle_epi8(scales, places))
        }
    }

    #[inline(always)]
    fn multiply_add(self, sums: __m512i, dot: __m512i, scales: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_add_epi32(sums, _mm512_mullo_epi32(dot, scales)) }
    }

    #[inline(always)]
    fn dot_groups(self, a: __m256i, b: &[i16; 16]) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe {
            let b = _mm256_loadu_si256(b.as_ptr().cast());
            _mm512_zextsi256_si512(_mm256_madd_epi16(a, b))
        }
    }

    #[inline(always)]
    fn subtract_sums(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn floats(self, sums: __m512i) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn pair(self, values: &[f32; 2]) -> __m512 {
        // SAFETY: see the head of this impl; 8 bytes of two floats are read.
        unsafe {
            let values = _mm_castpd_ps(_mm_load_sd(values.as_ptr().cast()));
            let places = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
            _mm512_permutexvar_ps(places, _mm512_castps128_ps512(values))
        }
    }

    #[inline(always)]
    fn head_scales(self, heads: __m128) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe {
            let places = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2);
            _mm512_permutexvar_ps(places, _mm512_castps128_ps512(heads))
        }
    }

    #[inline(always)]
    fn multiply(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn fused(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn sum(self, floats: __m512) -> f32 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_reduce_add_ps(floats) }
    }

    #[inline(always)]
    fn load(self, floats: &[f32; LANES]) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_loadu_ps(floats.as_ptr()) }
    }

    #[inline(always)]
    fn load_f16(self, bits: &[u8; 2 * LANES]) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(bits.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_bf16(self, bits: &[u8; 2 * LANES]) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(bits.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }
}

// SAFETY of every block below: as above; the value proves the features that the inner functions are compiled for.
impl Loops for Avx512 {
    fn run_small<F: SmallFormat<B>, const B: usize, const N: usize>(
        self,
        job: &mut Job<'_, '_, N>,
    ) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn run<F: SmallFormat<B>, const B: usize, const N: usize>(
            isa: Avx512,
            job: &mut Job<'_, '_, N>,
        ) {
            small::rows::<Avx512, F, B, N>(isa, job);
        }
        // SAFETY: see the head of this impl.
        unsafe { run::<F, B, N>(self, job) }
    }

    fn run_large<F: LargeFormat<B>, const B: usize, const N: usize>(
        self,
        job: &mut Job<'_, '_, N>,
    ) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn run<F: LargeFormat<B>, const B: usize, const N: usize>(
            isa: Avx512,
            job: &mut Job<'_, '_, N>,
        ) {
            large::rows::<Avx512, F, B, N>(isa, job);
        }
        // SAFETY: see the head of this impl.
        unsafe { run::<F, B, N>(self, job) }
    }

    fn run_float<F: FloatFormat<B>, const B: usize, const N: usize>(
        self,
        job: &mut Job<'_, '_, N>,
    ) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn run<F: FloatFormat<B>, const B: usize, const N: usize>(
            isa: Avx512,
            job: &mut Job<'_, '_, N>,
        ) {
            float::rows::<Avx512, F, B, N>(isa, job);
        }
        // SAFETY: see the head of this impl.
        unsafe { run::<F, B, N>(self, job) }
    }

    fn run_quantize(self, source: &[f32], row: ActivationRow<'_>) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn run(source: &[f32], row: ActivationRow<'_>) {
            quantize(source, row);
        }
        // SAFETY: see the head of this impl.
        unsafe { run(source, row) }
    }

    fn run_fill_unit(self, work: &mut UnitFill<'_>) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn run(work: &mut UnitFill<'_>) {
            fill_unit(work);
        }
        // SAFETY: see the head of this impl.
        unsafe { run(work) }
    }

    fn run_dot(self, a: &[f32], b: &[f32]) -> f32 {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn run(isa: Avx512, a: &[f32], b: &[f32]) -> f32 {
            vector::dot(isa, a, b)
        }
        // SAFETY: see the head of this impl.
        unsafe { run(self, a, b) }
    }

    fn run_pointwise(self, work: Pointwise<'_>) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn run(work: Pointwise<'_>) {
            compute(work);
        }
        // SAFETY: see the head of this impl.
        unsafe { run(work) }
    }
}
