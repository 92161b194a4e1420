//! AVX-512 with VNNI: a line, 16 sums or 16 floats are one register, a dot product one instruction.
#![expect(
    unsafe_code,
    reason = "intrinsics of an instruction set that the value of `Avx512Tiles` proves to be there"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "the names of intrinsics are long, many and unmistakable"
)]

use std::arch::x86_64::*;

use super::super::formats::PackedFormat;
use super::super::isa::PackedIsa;
use super::super::layout::{LINE, ROWS};
use super::super::tile;
use super::super::tiles::{Tile, Tiles};
use crate::kernels::attend::{self, PageWork};

/// Proof that the CPU has AVX-512 F, BW, DQ, VL and VNNI, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Avx512Tiles(());

impl Avx512Tiles {
    /// `None` when the CPU (or the operating system) lacks a feature.
    pub(in crate::kernels) fn new() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

impl PackedIsa for Avx512Tiles {
    // Safety of every block below: `self` exists only where the CPU has the features, and pointers come from references
    // to arrays of the size that is read or written.

    type Codes = __m512i;
    type Sums = __m512i;
    type Floats = __m512;

    #[inline(always)]
    fn line(self, line: &[u8; LINE]) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
    }

    #[inline(always)]
    fn moved(self, codes: __m512i, by: i32, mask: u8) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe {
            let moved = match by {
                -7 => _mm512_srli_epi16::<7>(codes),
                -6 => _mm512_srli_epi16::<6>(codes),
                -5 => _mm512_srli_epi16::<5>(codes),
                -4 => _mm512_srli_epi16::<4>(codes),
                -3 => _mm512_srli_epi16::<3>(codes),
                -2 => _mm512_srli_epi16::<2>(codes),
                -1 => _mm512_srli_epi16::<1>(codes),
                1 => _mm512_slli_epi16::<1>(codes),
                2 => _mm512_slli_epi16::<2>(codes),
                3 => _mm512_slli_epi16::<3>(codes),
                4 => _mm512_slli_epi16::<4>(codes),
                5 => _mm512_slli_epi16::<5>(codes),
                _ => codes,
            };
            _mm512_and_si512(moved, _mm512_set1_epi8(mask as i8))
        }
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    fn splat_sum(self, value: i32) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    fn dot(self, sums: __m512i, codes: __m512i, activations: &[i8; 4]) -> __m512i {
        let four = i32::from_ne_bytes(activations.map(i8::cast_unsigned));
        // SAFETY: see the head of this impl.
        unsafe { _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(four)) }
    }

    #[inline(always)]
    fn start_wide(self, start: i32) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_slli_epi32::<2>(_mm512_set1_epi32(start)) }
    }

    #[inline(always)]
    fn dot_wide(self, sums: __m512i, codes: __m512i, activations: &[i8; 4]) -> __m512i {
        self.dot(sums, codes, activations)
    }

    #[inline(always)]
    fn pairs(self, first: &[u8; ROWS], second: &[u8; ROWS]) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe {
            let first = _mm512_cvtepu8_epi32(_mm_loadu_si128(first.as_ptr().cast()));
            let second = _mm512_cvtepu8_epi32(_mm_loadu_si128(second.as_ptr().cast()));
            _mm512_or_si512(first, _mm512_slli_epi32::<16>(second))
        }
    }

    #[inline(always)]
    fn dot_pairs(self, sums: __m512i, pairs: __m512i, factors: &[i16; 2]) -> __m512i {
        let [low, high] = factors.map(i16::cast_unsigned);
        let both = (u32::from(high) << 16 | u32::from(low)).cast_signed();
        // SAFETY: see the head of this impl.
        unsafe { _mm512_dpwssd_epi32(sums, pairs, _mm512_set1_epi32(both)) }
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
    fn unsigned(self, bytes: &[u8; ROWS]) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn signed(self, bytes: &[u8; ROWS]) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(bytes.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn halves(self, bits: &[u8; 2 * ROWS]) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(bits.as_ptr().cast())) }
    }

    #[inline(always)]
    fn singles(self, bits: &[u8; 4 * ROWS]) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_loadu_ps(bits.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load(self, floats: &[f32; ROWS]) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_loadu_ps(floats.as_ptr()) }
    }

    #[inline(always)]
    fn sum(self, floats: __m512) -> f32 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_reduce_add_ps(floats) }
    }

    #[inline(always)]
    fn transpose(self, rows: [__m512; ROWS]) -> [__m512; ROWS] {
        // SAFETY: see the head of this impl.
        unsafe { transpose(rows) }
    }

    #[inline(always)]
    fn larger(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn largest(self, floats: __m512) -> f32 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_reduce_max_ps(floats) }
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
    fn store_codes(self, codes: __m512i, to: &mut [u8; LINE]) {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), codes) }
    }

    #[inline(always)]
    fn store(self, floats: __m512, to: &mut [f32; ROWS]) {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), floats) }
    }
}

/// Pairs, then fours of numbers inside each quarter of the registers, then the quarters themselves change places.
#[inline(always)]
unsafe fn transpose(rows: [__m512; ROWS]) -> [__m512; ROWS] {
    // SAFETY: the caller has AVX-512.
    unsafe {
        let mut pairs = rows;
        for i in 0..8 {
            pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
            pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
        }
        let pair = |i: usize| _mm512_castps_pd(pairs[i]);
        let mut fours = rows;
        for i in 0..4 {
            let (a, b) = (pair(4 * i), pair(4 * i + 2));
            fours[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            fours[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            let (a, b) = (pair(4 * i + 1), pair(4 * i + 3));
            fours[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            fours[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
        let mut columns = rows;
        for i in 0..4 {
            let even_low = _mm512_shuffle_f32x4::<0b10_00_10_00>(fours[i], fours[4 + i]);
            let odd_low = _mm512_shuffle_f32x4::<0b11_01_11_01>(fours[i], fours[4 + i]);
            let even_high = _mm512_shuffle_f32x4::<0b10_00_10_00>(fours[8 + i], fours[12 + i]);
            let odd_high = _mm512_shuffle_f32x4::<0b11_01_11_01>(fours[8 + i], fours[12 + i]);
            columns[i] = _mm512_shuffle_f32x4::<0b10_00_10_00>(even_low, even_high);
            columns[8 + i] = _mm512_shuffle_f32x4::<0b11_01_11_01>(even_low, even_high);
            columns[4 + i] = _mm512_shuffle_f32x4::<0b10_00_10_00>(odd_low, odd_high);
            columns[12 + i] = _mm512_shuffle_f32x4::<0b11_01_11_01>(odd_low, odd_high);
        }
        columns
    }
}

impl Tiles for Avx512Tiles {
    fn run<F: PackedFormat, const N: usize>(self, tile: &mut Tile<'_, N>) {
        // SAFETY: `self` exists only where the CPU has the features.
        unsafe { compiled::<F, N>(self, tile) }
    }

    fn attend(self, work: &mut PageWork<'_>) {
        // SAFETY: `self` exists only where the CPU has the features.
        unsafe { attended(self, work) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn compiled<F: PackedFormat, const N: usize>(isa: Avx512Tiles, tile: &mut Tile<'_, N>) {
    tile::compute::<_, F, N>(isa, tile);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn attended(isa: Avx512Tiles, work: &mut PageWork<'_>) {
    attend::compute(isa, work);
}
