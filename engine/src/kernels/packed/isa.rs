//! The register operations that tiles are written in: 64 codes, 16 sums or 16 floats at a time.
use super::layout::{LINE, ROWS};

/// An instruction set. A value of it proves that the CPU has the set; the operations become single instructions only
/// inside `Tiles::run`, which is compiled for the set.
pub(in crate::kernels) trait PackedIsa: Copy {
    /// 64 codes of 8 bits: four of each row.
    type Codes: Copy;
    /// A whole number of 32 bits for each row.
    type Sums: Copy;
    /// A float for each row.
    type Floats: Copy;

    fn line(self, line: &[u8; LINE]) -> Self::Codes;
    /// Each byte moved left by `by` bits (right when negative), then masked: bits of a neighbour never get in.
    fn moved(self, codes: Self::Codes, by: i32, mask: u8) -> Self::Codes;
    fn or(self, a: Self::Codes, b: Self::Codes) -> Self::Codes;

    fn splat_sum(self, value: i32) -> Self::Sums;
    /// Adds to each row's sum its four codes (0..=63) times the four activations (-127..=127).
    fn dot(self, sums: Self::Sums, codes: Self::Codes, activations: &[i8; 4]) -> Self::Sums;
    /// Where sums of wide codes start, given -32 times the sum of the activations.
    fn start_wide(self, start: i32) -> Self::Sums;
    /// As `dot`, for codes 0..=255 that mean `code - 128`; sums started with [`Self::start_wide`].
    fn dot_wide(self, sums: Self::Sums, codes: Self::Codes, activations: &[i8; 4]) -> Self::Sums;
    /// Two small whole numbers (0..=255) of each row, for [`Self::dot_pairs`].
    fn pairs(self, first: &[u8; ROWS], second: &[u8; ROWS]) -> Self::Sums;
    /// Adds to each row's sum its two numbers times the two sums.
    fn dot_pairs(self, sums: Self::Sums, pairs: Self::Sums, factors: &[i16; 2]) -> Self::Sums;

    fn floats(self, sums: Self::Sums) -> Self::Floats;
    fn splat(self, value: f32) -> Self::Floats;
    fn unsigned(self, bytes: &[u8; ROWS]) -> Self::Floats;
    fn signed(self, bytes: &[u8; ROWS]) -> Self::Floats;
    /// 16 floats of 16 bits.
    fn halves(self, bits: &[u8; 2 * ROWS]) -> Self::Floats;
    /// 16 floats of 32 bits.
    fn singles(self, bits: &[u8; 4 * ROWS]) -> Self::Floats;
    fn multiply(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn load(self, floats: &[f32; ROWS]) -> Self::Floats;
    /// The sum of all 16.
    #[inline(always)]
    fn sum(self, floats: Self::Floats) -> f32 {
        let mut numbers = [0.0; ROWS];
        self.store(floats, &mut numbers);
        numbers.iter().sum()
    }
    /// Rows become columns.
    #[inline(always)]
    fn transpose(self, rows: [Self::Floats; ROWS]) -> [Self::Floats; ROWS] {
        let mut numbers = [[0.0; ROWS]; ROWS];
        for (row, numbers) in rows.into_iter().zip(&mut numbers) {
            self.store(row, numbers);
        }
        let mut turned = rows;
        for (column, turned) in turned.iter_mut().enumerate() {
            let mut numbers_of_column = [0.0; ROWS];
            for (to, row) in numbers_of_column.iter_mut().zip(&numbers) {
                *to = row[column];
            }
            *turned = self.load(&numbers_of_column);
        }
        turned
    }
    /// The larger of each two.
    #[inline(always)]
    fn larger(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        let (mut first, mut second) = ([0.0; ROWS], [0.0; ROWS]);
        self.store(a, &mut first);
        self.store(b, &mut second);
        for (first, second) in first.iter_mut().zip(second) {
            *first = if second > *first { second } else { *first };
        }
        self.load(&first)
    }
    /// The largest of all 16.
    #[inline(always)]
    fn largest(self, floats: Self::Floats) -> f32 {
        let mut numbers = [0.0; ROWS];
        self.store(floats, &mut numbers);
        numbers.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
    }
    /// `a * b + c`.
    fn fused(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    fn store_codes(self, codes: Self::Codes, to: &mut [u8; LINE]);
    fn store(self, floats: Self::Floats, to: &mut [f32; ROWS]);
}
