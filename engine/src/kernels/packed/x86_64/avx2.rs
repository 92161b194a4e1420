//! AVX2: dot products by multiplying bytes to pairs, pairs to fours.
#![expect(
    unsafe_code,
    reason = "intrinsics of an instruction set that the value of `Avx2Tiles` proves to be there"
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
use super::halves::{self, Halves, forward_halves};
use crate::kernels::attend::{self, PageWork};

/// Proof that the CPU has AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Avx2Tiles(Halves);

impl Avx2Tiles {
    /// `None` when the CPU (or the operating system) lacks a feature.
    pub(in crate::kernels) fn new() -> Option<Self> {
        Halves::new().map(Self)
    }
}

impl PackedIsa for Avx2Tiles {
    forward_halves!();

    #[inline(always)]
    fn dot(self, sums: Self::Sums, codes: Self::Codes, activations: &[i8; 4]) -> Self::Sums {
        let four = i32::from_ne_bytes(activations.map(i8::cast_unsigned));
        // SAFETY: `self` proves AVX2. Pairs of codes up to 63 times activations up to 127 stay below 2^15.
        unsafe {
            let four = _mm256_set1_epi32(four);
            let low = _mm256_maddubs_epi16(codes[0], four);
            let high = _mm256_maddubs_epi16(codes[1], four);
            [add_pairs(sums[0], low), add_pairs(sums[1], high)]
        }
    }

    #[inline(always)]
    fn start_wide(self, _: i32) -> Self::Sums {
        self.splat_sum(0)
    }

    #[inline(always)]
    fn dot_wide(self, sums: Self::Sums, codes: Self::Codes, activations: &[i8; 4]) -> Self::Sums {
        let four = i32::from_ne_bytes(activations.map(i8::cast_unsigned));
        // SAFETY: `self` proves AVX2. The sign goes to the activations; 2 * 128 * 127 stays below 2^15.
        unsafe {
            let four = _mm256_set1_epi32(four);
            [
                add_pairs(sums[0], wide_pairs(codes[0], four)),
                add_pairs(sums[1], wide_pairs(codes[1], four)),
            ]
        }
    }
}

/// Adds neighbours of 16 bits to sums of 32.
#[inline(always)]
fn add_pairs(sums: __m256i, pairs: __m256i) -> __m256i {
    // SAFETY: only called where `Avx2Tiles` proves AVX2.
    unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))) }
}

/// Codes minus 128 times activations, neighbours added.
#[inline(always)]
fn wide_pairs(codes: __m256i, four: __m256i) -> __m256i {
    // SAFETY: only called where `Avx2Tiles` proves AVX2.
    unsafe {
        let signed = _mm256_xor_si256(codes, _mm256_set1_epi8(i8::MIN));
        _mm256_maddubs_epi16(_mm256_abs_epi8(signed), _mm256_sign_epi8(four, signed))
    }
}

impl Tiles for Avx2Tiles {
    fn run<F: PackedFormat, const N: usize>(self, tile: &mut Tile<'_, N>) {
        // SAFETY: `self` exists only where the CPU has the features.
        unsafe { compiled::<F, N>(self, tile) }
    }

    fn attend(self, work: &mut PageWork<'_>) {
        // SAFETY: `self` exists only where the CPU has the features.
        unsafe { attended(self, work) }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn compiled<F: PackedFormat, const N: usize>(isa: Avx2Tiles, tile: &mut Tile<'_, N>) {
    tile::compute::<_, F, N>(isa, tile);
}

#[target_feature(enable = "avx2,fma,f16c")]
fn attended(isa: Avx2Tiles, work: &mut PageWork<'_>) {
    attend::compute(isa, work);
}
