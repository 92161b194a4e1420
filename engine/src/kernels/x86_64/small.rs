//! Rows of 32-weight blocks (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1), two blocks to a register.
#![expect(unsafe_code, reason = "indexing that is checked once for all blocks of a row")]

use std::arch::x86_64::__m128;

use super::super::activations::Line;
use super::isa::Isa;
use super::job::Job;

/// How a block of `B` bytes becomes codes. Every format starts with its scale, and with its minimum if it has one.
pub(super) trait SmallFormat<const B: usize> {
    /// Codes are signed, not 0..=63.
    const SIGNED: bool;
    /// The format has a minimum.
    const MIN: bool;
    /// The codes of two blocks.
    fn codes<I: Isa>(isa: I, blocks: &[[u8; B]; 2]) -> I::Codes;
}

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q5_1;
pub(super) struct Q8_0;
pub(super) struct Q8_1;

/// The `N` bytes at a fixed place.
#[inline(always)]
pub(super) fn at<const N: usize>(bytes: &[u8], offset: usize) -> &[u8; N] {
    &bytes[offset..].as_chunks().0[0]
}

#[inline(always)]
fn nibbles<I: Isa, const B: usize>(isa: I, [a, b]: &[[u8; B]; 2], offset: usize) -> I::Codes {
    isa.shift_right(isa.twice(at(a, offset), at(b, offset)), [0, 4, 0, 4], 0x0f)
}

#[inline(always)]
fn fifth_bits<I: Isa, const B: usize>(isa: I, [a, b]: &[[u8; B]; 2], offset: usize) -> I::Codes {
    let low = u32::from_le_bytes(*at(a, offset));
    let high = u32::from_le_bytes(*at(b, offset));
    isa.spread(u64::from(low) | u64::from(high) << 32, 16)
}

impl SmallFormat<18> for Q4_0 {
    const SIGNED: bool = true;
    const MIN: bool = false;
    #[inline(always)]
    fn codes<I: Isa>(isa: I, blocks: &[[u8; 18]; 2]) -> I::Codes {
        isa.subtract(nibbles(isa, blocks, 2), 8)
    }
}

impl SmallFormat<20> for Q4_1 {
    const SIGNED: bool = false;
    const MIN: bool = true;
    #[inline(always)]
    fn codes<I: Isa>(isa: I, blocks: &[[u8; 20]; 2]) -> I::Codes {
        nibbles(isa, blocks, 4)
    }
}

impl SmallFormat<22> for Q5_0 {
    const SIGNED: bool = true;
    const MIN: bool = false;
    #[inline(always)]
    fn codes<I: Isa>(isa: I, blocks: &[[u8; 22]; 2]) -> I::Codes {
        isa.subtract(isa.or(nibbles(isa, blocks, 6), fifth_bits(isa, blocks, 2)), 16)
    }
}

impl SmallFormat<24> for Q5_1 {
    const SIGNED: bool = false;
    const MIN: bool = true;
    #[inline(always)]
    fn codes<I: Isa>(isa: I, blocks: &[[u8; 24]; 2]) -> I::Codes {
        isa.or(nibbles(isa, blocks, 8), fifth_bits(isa, blocks, 4))
    }
}

impl SmallFormat<34> for Q8_0 {
    const SIGNED: bool = true;
    const MIN: bool = false;
    #[inline(always)]
    fn codes<I: Isa>(isa: I, [a, b]: &[[u8; 34]; 2]) -> I::Codes {
        isa.halves(at(a, 2), at(b, 2))
    }
}

impl SmallFormat<36> for Q8_1 {
    const SIGNED: bool = true;
    const MIN: bool = false;
    #[inline(always)]
    fn codes<I: Isa>(isa: I, [a, b]: &[[u8; 36]; 2]) -> I::Codes {
        isa.halves(at(a, 4), at(b, 4))
    }
}

/// One activation row: per pair of blocks a line of codes, two scales and two sums.
#[derive(Clone, Copy)]
struct Column<'a> {
    lines: &'a [Line],
    scales: &'a [[f32; 2]],
    sums: &'a [[f32; 2]],
}

/// All weight rows of the job against its `N` activation rows.
#[inline(always)]
pub(super) fn rows<I: Isa, F: SmallFormat<B>, const B: usize, const N: usize>(
    isa: I,
    job: &mut Job<'_, '_, N>,
) {
    let pairs = job.weights.cols().div_ceil(64);
    let columns: [Column<'_>; N] = std::array::from_fn(|c| {
        let row = job.first + c;
        let sums = if F::MIN { job.activations.sums(row) } else { job.activations.scales(row) };
        Column {
            lines: &job.activations.lines(row)[..pairs],
            scales: &job.activations.scales(row).as_chunks().0[..pairs],
            sums: &sums.as_chunks().0[..pairs],
        }
    });
    for (r, bytes) in job.weights.rows().enumerate() {
        let blocks = &bytes.as_chunks::<B>().0[..job.weights.cols() / 32];
        // SAFETY: all columns have as many lines, scales and sums as the row has pairs of blocks, the last one
        // perhaps half.
        job.write(r, unsafe { row::<I, F, B, N>(isa, blocks, &columns) });
    }
}

/// # Safety
/// Every array of `columns` must have an element for each pair of `blocks`, the last one perhaps half.
#[inline(always)]
unsafe fn row<I: Isa, F: SmallFormat<B>, const B: usize, const N: usize>(
    isa: I,
    blocks: &[[u8; B]],
    columns: &[Column<'_>; N],
) -> [f32; N] {
    let (pairs, last) = blocks.as_chunks::<2>();
    let mut totals = [isa.splat(0.0); N];
    let mut mins = [isa.zero_mins(); N];
    for (p, pair) in pairs.iter().enumerate() {
        // SAFETY: `p` counts pairs.
        unsafe { add::<I, F, B, N>(isa, pair, columns, p, &mut totals, &mut mins) };
    }
    if let [last] = last {
        // The activations behind the end are zero, so an empty block adds nothing.
        // SAFETY: the half pair comes after the whole ones.
        unsafe {
            add::<I, F, B, N>(isa, &[*last, [0; B]], columns, pairs.len(), &mut totals, &mut mins);
        };
    }
    std::array::from_fn(|c| isa.sum(totals[c]) + isa.sum_mins(mins[c]))
}

/// # Safety
/// Every array of `columns` must have an element `p`.
#[inline(always)]
unsafe fn add<I: Isa, F: SmallFormat<B>, const B: usize, const N: usize>(
    isa: I,
    pair: &[[u8; B]; 2],
    columns: &[Column<'_>; N],
    p: usize,
    totals: &mut [I::Floats; N],
    mins: &mut [__m128; N],
) {
    let codes = F::codes(isa, pair);
    let signed = if F::SIGNED { Some(isa.signed(codes)) } else { None };
    let heads = isa.heads(*at(&pair[0], 0), *at(&pair[1], 0));
    let scales = isa.head_scales(heads);
    for c in 0..N {
        // SAFETY: the caller's.
        let (line, factors, sums) = unsafe {
            let Column { lines, scales, sums } = columns[c];
            (isa.line(lines.get_unchecked(p)), scales.get_unchecked(p), sums.get_unchecked(p))
        };
        let dot = match signed {
            Some(signed) => isa.dot_signed(signed, line),
            None => isa.dot_unsigned(codes, line),
        };
        totals[c] = isa.fused(isa.multiply(scales, isa.pair(factors)), isa.floats(dot), totals[c]);
        if F::MIN {
            mins[c] = isa.add_mins(heads, sums, mins[c]);
        }
    }
}
