//! The operations in plain Rust: for CPUs without anything else, and to show what each one means.
use half::f16;

use super::formats::PackedFormat;
use super::isa::PackedIsa;
use super::layout::{LINE, ROWS};
use super::tile;
use super::tiles::{Tile, Tiles};
use crate::kernels::attend::{self, PageWork};

/// Every CPU can run it.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Portable;

impl PackedIsa for Portable {
    type Codes = [u8; LINE];
    type Sums = [i32; ROWS];
    type Floats = [f32; ROWS];

    fn line(self, line: &[u8; LINE]) -> [u8; LINE] {
        *line
    }

    fn moved(self, codes: [u8; LINE], by: i32, mask: u8) -> [u8; LINE] {
        codes.map(|code| mask & if by < 0 { code >> -by } else { code << by })
    }

    fn or(self, a: [u8; LINE], b: [u8; LINE]) -> [u8; LINE] {
        std::array::from_fn(|i| a[i] | b[i])
    }

    fn splat_sum(self, value: i32) -> [i32; ROWS] {
        [value; ROWS]
    }

    fn dot(self, sums: [i32; ROWS], codes: [u8; LINE], activations: &[i8; 4]) -> [i32; ROWS] {
        let term = |row: usize, i: usize| i32::from(codes[4 * row + i]) * i32::from(activations[i]);
        std::array::from_fn(|row| sums[row] + (0..4).map(|i| term(row, i)).sum::<i32>())
    }

    fn start_wide(self, _: i32) -> [i32; ROWS] {
        [0; ROWS]
    }

    fn dot_wide(self, sums: [i32; ROWS], codes: [u8; LINE], activations: &[i8; 4]) -> [i32; ROWS] {
        let code = |row: usize, i: usize| i32::from(codes[4 * row + i]) - 128;
        let term = |row: usize, i: usize| code(row, i) * i32::from(activations[i]);
        std::array::from_fn(|row| sums[row] + (0..4).map(|i| term(row, i)).sum::<i32>())
    }

    fn pairs(self, first: &[u8; ROWS], second: &[u8; ROWS]) -> [i32; ROWS] {
        std::array::from_fn(|row| i32::from(first[row]) | i32::from(second[row]) << 16)
    }

    fn dot_pairs(self, sums: [i32; ROWS], pairs: [i32; ROWS], factors: &[i16; 2]) -> [i32; ROWS] {
        let [low, high] = factors.map(i32::from);
        std::array::from_fn(|row| {
            sums[row] + (pairs[row] & 0xffff) * low + (pairs[row] >> 16) * high
        })
    }

    fn floats(self, sums: [i32; ROWS]) -> [f32; ROWS] {
        sums.map(|sum| sum as f32)
    }

    fn splat(self, value: f32) -> [f32; ROWS] {
        [value; ROWS]
    }

    fn unsigned(self, bytes: &[u8; ROWS]) -> [f32; ROWS] {
        bytes.map(f32::from)
    }

    fn signed(self, bytes: &[u8; ROWS]) -> [f32; ROWS] {
        bytes.map(|byte| f32::from(byte.cast_signed()))
    }

    fn halves(self, bits: &[u8; 2 * ROWS]) -> [f32; ROWS] {
        let (bits, _) = bits.as_chunks::<2>();
        std::array::from_fn(|row| f16::from_le_bytes(bits[row]).to_f32())
    }

    fn singles(self, bits: &[u8; 4 * ROWS]) -> [f32; ROWS] {
        let (bits, _) = bits.as_chunks::<4>();
        std::array::from_fn(|row| f32::from_le_bytes(bits[row]))
    }

    fn load(self, floats: &[f32; ROWS]) -> [f32; ROWS] {
        *floats
    }

    fn multiply(self, a: [f32; ROWS], b: [f32; ROWS]) -> [f32; ROWS] {
        std::array::from_fn(|row| a[row] * b[row])
    }

    fn fused(self, a: [f32; ROWS], b: [f32; ROWS], c: [f32; ROWS]) -> [f32; ROWS] {
        std::array::from_fn(|row| a[row] * b[row] + c[row])
    }

    fn store_codes(self, codes: [u8; LINE], to: &mut [u8; LINE]) {
        *to = codes;
    }

    fn store(self, floats: [f32; ROWS], to: &mut [f32; ROWS]) {
        *to = floats;
    }
}

impl Tiles for Portable {
    fn run<F: PackedFormat, const N: usize>(self, tile: &mut Tile<'_, N>) {
        tile::compute::<Self, F, N>(self, tile);
    }

    fn attend(self, work: &mut PageWork<'_>) {
        attend::compute(self, work);
    }
}
