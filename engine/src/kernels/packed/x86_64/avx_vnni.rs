//! AVX-VNNI: dot products in one instruction on registers of 256 bits, for CPUs without AVX-512.
#![expect(
    unsafe_code,
    reason = "intrinsics of an instruction set that the value of `AvxVnniTiles` proves to be there"
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

/// Proof that the CPU has VNNI on 256-bit registers (AVX-VNNI, or AVX-512 VL and VNNI), AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct AvxVnniTiles<const EVEX: bool>(Halves);

impl AvxVnniTiles<false> {
    /// `None` when the CPU (or the operating system) lacks AVX-VNNI.
    pub(in crate::kernels) fn new() -> Option<Self> {
        Halves::new().filter(|_| is_x86_feature_detected!("avxvnni")).map(Self)
    }
}

impl AvxVnniTiles<true> {
    /// The same with the encoding of AVX-512; `None` when the CPU (or the operating system) lacks it.
    pub(in crate::kernels) fn new_evex() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512vl");
        Halves::new().filter(|_| found).map(Self)
    }
}

impl<const EVEX: bool> PackedIsa for AvxVnniTiles<EVEX> {
    forward_halves!();

    #[inline(always)]
    fn dot(self, sums: Self::Sums, codes: Self::Codes, activations: &[i8; 4]) -> Self::Sums {
        let four = i32::from_ne_bytes(activations.map(i8::cast_unsigned));
        // SAFETY: `self` proves the encoding that its parameter names.
        unsafe {
            let four = _mm256_set1_epi32(four);
            if EVEX {
                [
                    _mm256_dpbusd_epi32(sums[0], codes[0], four),
                    _mm256_dpbusd_epi32(sums[1], codes[1], four),
                ]
            } else {
                [
                    _mm256_dpbusd_avx_epi32(sums[0], codes[0], four),
                    _mm256_dpbusd_avx_epi32(sums[1], codes[1], four),
                ]
            }
        }
    }

    #[inline(always)]
    fn start_wide(self, start: i32) -> Self::Sums {
        self.splat_sum(4 * start)
    }

    #[inline(always)]
    fn dot_wide(self, sums: Self::Sums, codes: Self::Codes, activations: &[i8; 4]) -> Self::Sums {
        self.dot(sums, codes, activations)
    }
}

impl Tiles for AvxVnniTiles<false> {
    fn run<F: PackedFormat, const N: usize>(self, tile: &mut Tile<'_, N>) {
        // SAFETY: `self` exists only where the CPU has the features.
        unsafe { compiled::<F, N>(self, tile) }
    }

    fn attend(self, work: &mut PageWork<'_>) {
        // SAFETY: `self` exists only where the CPU has the features.
        unsafe { attended(self, work) }
    }
}

impl Tiles for AvxVnniTiles<true> {
    fn run<F: PackedFormat, const N: usize>(self, tile: &mut Tile<'_, N>) {
        // SAFETY: `self` exists only where the CPU has the features.
        unsafe { compiled_evex::<F, N>(self, tile) }
    }

    fn attend(self, work: &mut PageWork<'_>) {
        // SAFETY: `self` exists only where the CPU has the features.
        unsafe { attended_evex(self, work) }
    }
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn compiled<F: PackedFormat, const N: usize>(isa: AvxVnniTiles<false>, tile: &mut Tile<'_, N>) {
    tile::compute::<_, F, N>(isa, tile);
}

#[target_feature(enable = "avx2,fma,f16c,avx512vl,avx512vnni")]
fn compiled_evex<F: PackedFormat, const N: usize>(isa: AvxVnniTiles<true>, tile: &mut Tile<'_, N>) {
    tile::compute::<_, F, N>(isa, tile);
}

#[target_feature(enable = "avx2,fma,f16c")]
fn attended(isa: AvxVnniTiles<false>, work: &mut PageWork<'_>) {
    attend::compute(isa, work);
}

#[target_feature(enable = "avx2,fma,f16c")]
fn attended_evex(isa: AvxVnniTiles<true>, work: &mut PageWork<'_>) {
    attend::compute(isa, work);
}
