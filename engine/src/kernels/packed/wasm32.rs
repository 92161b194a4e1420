//! The operations on WebAssembly with simd128: a line or 16 floats are four vectors.
//!
//! The one integer dot product multiplies 16-bit numbers and adds pairs, so a row's sum is kept as two halves in
//! neighbouring lanes; they meet only when the sum becomes a float. Codes are widened once for all columns.
#![expect(unsafe_code, reason = "loads and stores of vectors take pointers")]
#![allow(
    clippy::wildcard_imports,
    reason = "the names of intrinsics are long, many and unmistakable"
)]

use std::arch::wasm32::*;

use super::formats::PackedFormat;
use super::isa::PackedIsa;
use super::layout::{LINE, ROWS};
use super::tile;
use super::tiles::{Tile, Tiles};
use crate::kernels::attend::{self, PageWork};

/// Vectors that hold 64 codes or 16 floats.
const VECTORS: usize = 4;
/// Rows of one vector of halves of sums.
const ROWS_OF_HALVES: usize = 2;

/// Vector operations: a module that holds them runs only where they are known.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Simd128Tiles;

#[inline(always)]
fn load(bytes: &[u8; 16]) -> v128 {
    // SAFETY: 16 bytes are read, from anywhere.
    unsafe { v128_load(bytes.as_ptr().cast()) }
}

#[inline(always)]
fn store(vector: v128, to: &mut [u8; 16]) {
    // SAFETY: 16 bytes are written, anywhere.
    unsafe { v128_store(to.as_mut_ptr().cast(), vector) }
}

/// The four activations twice, as 16-bit numbers.
#[inline(always)]
fn spread(activations: &[i8; 4]) -> v128 {
    i16x8_extend_low_i8x16(i32x4_splat(i32::from_ne_bytes(activations.map(i8::cast_unsigned))))
}

/// Four floats from 16-bit floats in the low halves of 32-bit lanes.
///
/// Moved to its place in a 32-bit float, a magnitude is too small by a power of two, subnormal ones too, so that one
/// exact multiplication mends it. Infinities and NaN get the exponent that they lack.
#[inline(always)]
fn widen(halves: v128) -> v128 {
    const EXPONENT: i32 = 0x7f80_0000;
    let sign = i32x4_shl(v128_and(halves, i32x4_splat(0x8000)), 16);
    let magnitude = i32x4_shl(v128_and(halves, i32x4_splat(0x7fff)), 13);
    let scaled = f32x4_mul(magnitude, f32x4_splat(f32::from_bits((127 + 112) << 23)));
    let special = i32x4_ge(magnitude, i32x4_splat(0x7c00 << 13));
    v128_or(v128_or(scaled, v128_and(special, i32x4_splat(EXPONENT))), sign)
}

impl PackedIsa for Simd128Tiles {
    type Codes = [v128; VECTORS];
    type Sums = [v128; 2 * VECTORS];
    type Floats = [v128; VECTORS];

    #[inline(always)]
    fn line(self, line: &[u8; LINE]) -> Self::Codes {
        let parts = line.as_chunks::<16>().0;
        std::array::from_fn(|i| load(&parts[i]))
    }

    #[inline(always)]
    fn moved(self, codes: Self::Codes, by: i32, mask: u8) -> Self::Codes {
        // Shifts of 16 bits are one instruction of most machines, those of bytes are not; the mask removes the difference.
        codes.map(|codes| {
            let moved = if by < 0 {
                u16x8_shr(codes, by.unsigned_abs())
            } else {
                u16x8_shl(codes, by.unsigned_abs())
            };
            v128_and(moved, u8x16_splat(mask))
        })
    }

    #[inline(always)]
    fn or(self, a: Self::Codes, b: Self::Codes) -> Self::Codes {
        std::array::from_fn(|i| v128_or(a[i], b[i]))
    }

    #[inline(always)]
    fn splat_sum(self, value: i32) -> Self::Sums {
        [i32x4(value, 0, value, 0); 2 * VECTORS]
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, codes: Self::Codes, activations: &[i8; 4]) -> Self::Sums {
        let activations = spread(activations);
        std::array::from_fn(|i| {
            let codes = codes[i / 2];
            let wide = if i % 2 == 0 {
                i16x8_extend_low_i8x16(codes)
            } else {
                i16x8_extend_high_i8x16(codes)
            };
            i32x4_add(sums[i], i32x4_dot_i16x8(wide, activations))
        })
    }

    #[inline(always)]
    fn start_wide(self, _: i32) -> Self::Sums {
        self.splat_sum(0)
    }

    #[inline(always)]
    fn dot_wide(self, sums: Self::Sums, codes: Self::Codes, activations: &[i8; 4]) -> Self::Sums {
        // The flipped top bit makes `code - 128` of a code.
        let signed = codes.map(|codes| v128_xor(codes, u8x16_splat(0x80)));
        self.dot(sums, signed, activations)
    }

    #[inline(always)]
    fn pairs(self, first: &[u8; ROWS], second: &[u8; ROWS]) -> Self::Sums {
        std::array::from_fn(|i| {
            let row = ROWS_OF_HALVES * i;
            let number = |bytes: &[u8; ROWS], at: usize| i16::from(bytes[row + at]);
            let (a, b) = (number(first, 0), number(second, 0));
            let (c, d) = (number(first, 1), number(second, 1));
            i16x8(a, b, 0, 0, c, d, 0, 0)
        })
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, pairs: Self::Sums, factors: &[i16; 2]) -> Self::Sums {
        let [low, high] = *factors;
        let factors = i16x8(low, high, 0, 0, low, high, 0, 0);
        std::array::from_fn(|i| i32x4_add(sums[i], i32x4_dot_i16x8(pairs[i], factors)))
    }

    #[inline(always)]
    fn floats(self, sums: Self::Sums) -> Self::Floats {
        std::array::from_fn(|i| {
            let (low, high) = (sums[2 * i], sums[2 * i + 1]);
            let even = i32x4_shuffle::<0, 2, 4, 6>(low, high);
            let odd = i32x4_shuffle::<1, 3, 5, 7>(low, high);
            f32x4_convert_i32x4(i32x4_add(even, odd))
        })
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Floats {
        [f32x4_splat(value); VECTORS]
    }

    #[inline(always)]
    fn unsigned(self, bytes: &[u8; ROWS]) -> Self::Floats {
        let bytes = load(bytes);
        let (low, high) = (u16x8_extend_low_u8x16(bytes), u16x8_extend_high_u8x16(bytes));
        [
            u32x4_extend_low_u16x8(low),
            u32x4_extend_high_u16x8(low),
            u32x4_extend_low_u16x8(high),
            u32x4_extend_high_u16x8(high),
        ]
        .map(|words| f32x4_convert_u32x4(words))
    }

    #[inline(always)]
    fn signed(self, bytes: &[u8; ROWS]) -> Self::Floats {
        let bytes = load(bytes);
        let (low, high) = (i16x8_extend_low_i8x16(bytes), i16x8_extend_high_i8x16(bytes));
        [
            i32x4_extend_low_i16x8(low),
            i32x4_extend_high_i16x8(low),
            i32x4_extend_low_i16x8(high),
            i32x4_extend_high_i16x8(high),
        ]
        .map(|words| f32x4_convert_i32x4(words))
    }

    #[inline(always)]
    fn halves(self, bits: &[u8; 2 * ROWS]) -> Self::Floats {
        let parts = bits.as_chunks::<16>().0;
        let (low, high) = (load(&parts[0]), load(&parts[1]));
        [
            widen(u32x4_extend_low_u16x8(low)),
            widen(u32x4_extend_high_u16x8(low)),
            widen(u32x4_extend_low_u16x8(high)),
            widen(u32x4_extend_high_u16x8(high)),
        ]
    }

    #[inline(always)]
    fn singles(self, bits: &[u8; 4 * ROWS]) -> Self::Floats {
        let parts = bits.as_chunks::<16>().0;
        std::array::from_fn(|i| load(&parts[i]))
    }

    #[inline(always)]
    fn load(self, floats: &[f32; ROWS]) -> Self::Floats {
        let parts = floats.as_chunks::<4>().0;
        // SAFETY: 16 bytes are read, from anywhere.
        std::array::from_fn(|i| unsafe { v128_load(parts[i].as_ptr().cast()) })
    }

    #[inline(always)]
    fn larger(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|i| f32x4_pmax(a[i], b[i]))
    }

    #[inline(always)]
    fn multiply(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|i| f32x4_mul(a[i], b[i]))
    }

    #[inline(always)]
    fn fused(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        std::array::from_fn(|i| f32x4_add(f32x4_mul(a[i], b[i]), c[i]))
    }

    #[inline(always)]
    fn store_codes(self, codes: Self::Codes, to: &mut [u8; LINE]) {
        for (codes, to) in codes.into_iter().zip(to.as_chunks_mut::<16>().0) {
            store(codes, to);
        }
    }

    #[inline(always)]
    fn store(self, floats: Self::Floats, to: &mut [f32; ROWS]) {
        for (floats, to) in floats.into_iter().zip(to.as_chunks_mut::<4>().0) {
            // SAFETY: 16 bytes are written, anywhere.
            unsafe { v128_store(to.as_mut_ptr().cast(), floats) }
        }
    }
}

impl Tiles for Simd128Tiles {
    fn run<F: PackedFormat, const N: usize>(self, tile: &mut Tile<'_, N>) {
        // The instruction set is one of the whole module.
        tile::compute::<_, F, N>(self, tile);
    }

    fn attend(self, work: &mut PageWork<'_>) {
        attend::compute(self, work);
    }
}
