//! The operations on 64-bit Arm: a line, 16 sums or 16 floats are four registers.
//!
//! Dot products are one instruction on CPUs that have it. The standard library's stable part knows neither that
//! instruction nor the conversion of 16-bit floats, so both are written in assembly.
#![expect(
    unsafe_code,
    reason = "intrinsics of an instruction set that the value of `NeonTiles` proves to be there"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "the names of intrinsics are long, many and unmistakable"
)]

use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

use super::formats::PackedFormat;
use super::isa::PackedIsa;
use super::layout::{LINE, ROWS};
use super::tile;
use super::tiles::{Tile, Tiles};
use crate::kernels::attend::{self, PageWork};

/// Codes, sums or floats in a register of 16 bytes.
const REGISTERS: usize = 4;

/// Proof that the CPU has NEON, and with `DOT` the dot products of Armv8.2.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct NeonTiles<const DOT: bool>(());

impl NeonTiles<false> {
    /// `None` when the CPU (or the operating system) lacks NEON.
    pub(in crate::kernels) fn new() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

impl NeonTiles<true> {
    /// `None` when the CPU (or the operating system) lacks a feature.
    pub(in crate::kernels) fn new_dot() -> Option<Self> {
        let found = is_aarch64_feature_detected!("neon") && is_aarch64_feature_detected!("dotprod");
        found.then_some(Self(()))
    }
}

impl<const DOT: bool> NeonTiles<DOT> {
    /// Adds to each of four sums its four codes times four activations, all signed.
    #[inline(always)]
    fn dot_four(self, sums: int32x4_t, codes: int8x16_t, activations: int8x16_t) -> int32x4_t {
        if DOT {
            let mut sums = sums;
            // SAFETY: `self` proves the instruction; it changes nothing but its output.
            unsafe {
                asm!(
                    ".arch_extension dotprod",
                    "sdot {sums:v}.4s, {codes:v}.16b, {activations:v}.16b",
                    sums = inout(vreg) sums,
                    codes = in(vreg) codes,
                    activations = in(vreg) activations,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            return sums;
        }
        // SAFETY: `self` proves NEON. Two products of at most 128 * 127 stay below 2^15.
        unsafe {
            let low = vmull_s8(vget_low_s8(codes), vget_low_s8(activations));
            let high = vmull_high_s8(codes, activations);
            vpadalq_s16(sums, vpaddq_s16(low, high))
        }
    }
}

/// The four activations in every place.
#[inline(always)]
fn spread(activations: &[i8; 4]) -> int8x16_t {
    let four = i32::from_ne_bytes(activations.map(i8::cast_unsigned));
    // SAFETY: every CPU of this architecture that runs std has NEON.
    unsafe { vreinterpretq_s8_s32(vdupq_n_s32(four)) }
}

/// Four floats from the low (or the high) four of eight 16-bit floats.
#[inline(always)]
fn widen<const HIGH: bool>(halves: uint16x8_t) -> float32x4_t {
    let floats: float32x4_t;
    // SAFETY: the conversion is part of the architecture's floating-point instructions; it reads only its operand.
    unsafe {
        if HIGH {
            asm!(
                "fcvtl2 {floats:v}.4s, {halves:v}.8h",
                floats = lateout(vreg) floats,
                halves = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags),
            );
        } else {
            asm!(
                "fcvtl {floats:v}.4s, {halves:v}.4h",
                floats = lateout(vreg) floats,
                halves = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
    }
    floats
}

/// 16 bytes as four registers of 32 bits.
#[inline(always)]
fn unsigned_words(bytes: uint8x16_t) -> [uint32x4_t; REGISTERS] {
    // SAFETY: every CPU of this architecture that runs std has NEON.
    unsafe {
        let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
        [
            vmovl_u16(vget_low_u16(low)),
            vmovl_high_u16(low),
            vmovl_u16(vget_low_u16(high)),
            vmovl_high_u16(high),
        ]
    }
}

impl<const DOT: bool> PackedIsa for NeonTiles<DOT> {
    // Safety of every block below: `self` exists only where the CPU has NEON, and pointers come from references to
    // arrays of the size that is read or written.

    type Codes = [uint8x16_t; REGISTERS];
    type Sums = [int32x4_t; REGISTERS];
    type Floats = [float32x4_t; REGISTERS];

    #[inline(always)]
    fn line(self, line: &[u8; LINE]) -> Self::Codes {
        // SAFETY: see the head of this impl.
        std::array::from_fn(|i| unsafe { vld1q_u8(line.as_ptr().add(16 * i)) })
    }

    #[inline(always)]
    fn moved(self, codes: Self::Codes, by: i32, mask: u8) -> Self::Codes {
        // SAFETY: see the head of this impl.
        codes.map(|codes| unsafe {
            vandq_u8(vshlq_u8(codes, vdupq_n_s8(by as i8)), vdupq_n_u8(mask))
        })
    }

    #[inline(always)]
    fn or(self, a: Self::Codes, b: Self::Codes) -> Self::Codes {
        // SAFETY: see the head of this impl.
        std::array::from_fn(|i| unsafe { vorrq_u8(a[i], b[i]) })
    }

    #[inline(always)]
    fn splat_sum(self, value: i32) -> Self::Sums {
        // SAFETY: see the head of this impl.
        unsafe { [vdupq_n_s32(value); REGISTERS] }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, codes: Self::Codes, activations: &[i8; 4]) -> Self::Sums {
        let activations = spread(activations);
        // SAFETY: see the head of this impl.
        std::array::from_fn(|i| unsafe {
            self.dot_four(sums[i], vreinterpretq_s8_u8(codes[i]), activations)
        })
    }

    #[inline(always)]
    fn start_wide(self, _: i32) -> Self::Sums {
        self.splat_sum(0)
    }

    #[inline(always)]
    fn dot_wide(self, sums: Self::Sums, codes: Self::Codes, activations: &[i8; 4]) -> Self::Sums {
        // SAFETY: see the head of this impl. The flipped top bit makes `code - 128` of a code.
        let signed = codes.map(|codes| unsafe { veorq_u8(codes, vdupq_n_u8(0x80)) });
        self.dot(sums, signed, activations)
    }

    #[inline(always)]
    fn pairs(self, first: &[u8; ROWS], second: &[u8; ROWS]) -> Self::Sums {
        // SAFETY: see the head of this impl.
        unsafe {
            let (first, second) = (vld1q_u8(first.as_ptr()), vld1q_u8(second.as_ptr()));
            let (low, high) = (vzip1q_u8(first, second), vzip2q_u8(first, second));
            [
                vmovl_u8(vget_low_u8(low)),
                vmovl_high_u8(low),
                vmovl_u8(vget_low_u8(high)),
                vmovl_high_u8(high),
            ]
            .map(|pairs| vreinterpretq_s32_u16(pairs))
        }
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, pairs: Self::Sums, factors: &[i16; 2]) -> Self::Sums {
        let [low, high] = factors.map(i16::cast_unsigned);
        let both = (u32::from(high) << 16 | u32::from(low)).cast_signed();
        // SAFETY: see the head of this impl.
        std::array::from_fn(|i| unsafe {
            let factors = vreinterpretq_s16_s32(vdupq_n_s32(both));
            let pairs = vreinterpretq_s16_s32(pairs[i]);
            let low = vmull_s16(vget_low_s16(pairs), vget_low_s16(factors));
            vaddq_s32(sums[i], vpaddq_s32(low, vmull_high_s16(pairs, factors)))
        })
    }

    #[inline(always)]
    fn floats(self, sums: Self::Sums) -> Self::Floats {
        // SAFETY: see the head of this impl.
        sums.map(|sums| unsafe { vcvtq_f32_s32(sums) })
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Floats {
        // SAFETY: see the head of this impl.
        unsafe { [vdupq_n_f32(value); REGISTERS] }
    }

    #[inline(always)]
    fn unsigned(self, bytes: &[u8; ROWS]) -> Self::Floats {
        // SAFETY: see the head of this impl.
        unsafe { unsigned_words(vld1q_u8(bytes.as_ptr())).map(|words| vcvtq_f32_u32(words)) }
    }

    #[inline(always)]
    fn signed(self, bytes: &[u8; ROWS]) -> Self::Floats {
        // SAFETY: see the head of this impl. With the top bit flipped a byte is 128 too large.
        unsafe {
            let raised = veorq_u8(vld1q_u8(bytes.as_ptr()), vdupq_n_u8(0x80));
            unsigned_words(raised).map(|words| {
                vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(words), vdupq_n_s32(128)))
            })
        }
    }

    #[inline(always)]
    fn halves(self, bits: &[u8; 2 * ROWS]) -> Self::Floats {
        // SAFETY: see the head of this impl.
        let [low, high] =
            [0, 16].map(|at| unsafe { vreinterpretq_u16_u8(vld1q_u8(bits.as_ptr().add(at))) });
        [widen::<false>(low), widen::<true>(low), widen::<false>(high), widen::<true>(high)]
    }

    #[inline(always)]
    fn singles(self, bits: &[u8; 4 * ROWS]) -> Self::Floats {
        // SAFETY: see the head of this impl.
        std::array::from_fn(|i| unsafe {
            vreinterpretq_f32_u8(vld1q_u8(bits.as_ptr().add(16 * i)))
        })
    }

    #[inline(always)]
    fn load(self, floats: &[f32; ROWS]) -> Self::Floats {
        // SAFETY: see the head of this impl.
        std::array::from_fn(|i| unsafe { vld1q_f32(floats.as_ptr().add(4 * i)) })
    }

    #[inline(always)]
    fn larger(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: see the head of this impl.
        std::array::from_fn(|i| unsafe { vbslq_f32(vcgtq_f32(b[i], a[i]), b[i], a[i]) })
    }

    #[inline(always)]
    fn multiply(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: see the head of this impl.
        std::array::from_fn(|i| unsafe { vmulq_f32(a[i], b[i]) })
    }

    #[inline(always)]
    fn fused(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: see the head of this impl.
        std::array::from_fn(|i| unsafe { vfmaq_f32(c[i], a[i], b[i]) })
    }

    #[inline(always)]
    fn store_codes(self, codes: Self::Codes, to: &mut [u8; LINE]) {
        for (codes, to) in codes.into_iter().zip(to.as_chunks_mut::<16>().0) {
            // SAFETY: see the head of this impl.
            unsafe { vst1q_u8(to.as_mut_ptr(), codes) }
        }
    }

    #[inline(always)]
    fn store(self, floats: Self::Floats, to: &mut [f32; ROWS]) {
        for (floats, to) in floats.into_iter().zip(to.as_chunks_mut::<4>().0) {
            // SAFETY: see the head of this impl.
            unsafe { vst1q_f32(to.as_mut_ptr(), floats) }
        }
    }
}

impl<const DOT: bool> Tiles for NeonTiles<DOT> {
    fn run<F: PackedFormat, const N: usize>(self, tile: &mut Tile<'_, N>) {
        // NEON is part of the target, so nothing needs compiling apart.
        tile::compute::<_, F, N>(self, tile);
    }

    fn attend(self, work: &mut PageWork<'_>) {
        attend::compute(self, work);
    }
}
