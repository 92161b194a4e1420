//! Rows of 256-weight blocks (Q2_K to Q6_K), a quarter of a block to a register.
//!
//! Codes stay unsigned; formats with centred codes subtract their centre as if it were a minimum, in whole numbers.
use std::arch::x86_64::{__m128i, __m256i};

use super::super::activations::{LARGE_LINES, Line};
use super::isa::Isa;
use super::job::Job;
use super::small::at;

/// Scales and minima of a block.
#[derive(Clone, Copy)]
pub(super) struct Header {
    scale: f32,
    /// Factor of the minima; not used by centred formats.
    min: f32,
    group_scales: __m128i,
    group_mins: __m256i,
}

/// How a block of `B` bytes becomes codes, scales and minima.
pub(super) trait LargeFormat<const B: usize> {
    /// Minima have the factor of the scales.
    const CENTRED: bool;
    fn header<I: Isa>(isa: I, block: &[u8; B]) -> Header;
    /// Codes `64 line .. 64 line + 64`, each 0..=63.
    fn codes<I: Isa>(isa: I, block: &[u8; B], line: usize) -> I::Codes;
}

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

/// Low 2 bits of line `line` in 64 bytes at `offset`.
#[inline(always)]
fn two_bits<I: Isa>(isa: I, block: &[u8], offset: usize, line: usize) -> I::Codes {
    let bytes: &[u8; 32] = at(block, offset + line / 2 * 32);
    let shift = (line % 2 * 4) as i64;
    isa.shift_right(isa.halves(bytes, bytes), [shift, shift, shift + 2, shift + 2], 3)
}

/// The bits of line `line` in 32 bytes at `offset`: bit b of byte i belongs to code 32 b + i.
#[inline(always)]
fn one_bit<I: Isa>(isa: I, block: &[u8], offset: usize, line: usize) -> I::Codes {
    let bytes: &[u8; 32] = at(block, offset);
    let shift = (line * 2) as i64;
    isa.shift_right(isa.halves(bytes, bytes), [shift, shift, shift + 1, shift + 1], 1)
}

/// The nibbles of line `line` in 128 bytes at `offset`: 32 low ones, then 32 high ones.
#[inline(always)]
fn nibbles<I: Isa>(isa: I, block: &[u8], offset: usize, line: usize) -> I::Codes {
    let bytes: &[u8; 32] = at(block, offset + 32 * line);
    isa.shift_right(isa.halves(bytes, bytes), [0, 0, 4, 4], 0x0f)
}

impl LargeFormat<84> for Q2K {
    const CENTRED: bool = false;
    #[inline(always)]
    fn header<I: Isa>(isa: I, block: &[u8; 84]) -> Header {
        let packed = isa.scale_bytes(at(block, 0));
        Header {
            scale: isa.half(*at(block, 80)),
            min: isa.half(*at(block, 82)),
            group_scales: isa.scale_bits::<0>(packed, 0x0f),
            group_mins: isa.mins::<0>(isa.scale_bits::<4>(packed, 0x0f)),
        }
    }
    #[inline(always)]
    fn codes<I: Isa>(isa: I, block: &[u8; 84], line: usize) -> I::Codes {
        two_bits(isa, block, 16, line)
    }
}

impl LargeFormat<110> for Q3K {
    const CENTRED: bool = true;
    #[inline(always)]
    fn header<I: Isa>(isa: I, block: &[u8; 110]) -> Header {
        let [a, b, c] = words(at(block, 96));
        let low = 0x0f0f_0f0f;
        let high = |shift: u32| ((c >> shift) & 0x0303_0303) << 4;
        let packed = [
            (a & low) | high(0),
            (b & low) | high(2),
            ((a >> 4) & low) | high(4),
            ((b >> 4) & low) | high(6),
        ];
        let group_scales = isa.scales_centred(packed);
        Header {
            scale: isa.half(*at(block, 108)),
            min: 0.0,
            group_scales,
            group_mins: isa.mins::<2>(group_scales),
        }
    }
    #[inline(always)]
    fn codes<I: Isa>(isa: I, block: &[u8; 110], line: usize) -> I::Codes {
        isa.or(two_bits(isa, block, 32, line), isa.shift_left::<2>(one_bit(isa, block, 0, line)))
    }
}

impl LargeFormat<144> for Q4K {
    const CENTRED: bool = false;
    #[inline(always)]
    fn header<I: Isa>(isa: I, block: &[u8; 144]) -> Header {
        six_bit_header(isa, at(block, 0))
    }
    #[inline(always)]
    fn codes<I: Isa>(isa: I, block: &[u8; 144], line: usize) -> I::Codes {
        nibbles(isa, block, 16, line)
    }
}

impl LargeFormat<176> for Q5K {
    const CENTRED: bool = false;
    #[inline(always)]
    fn header<I: Isa>(isa: I, block: &[u8; 176]) -> Header {
        six_bit_header(isa, at(block, 0))
    }
    #[inline(always)]
    fn codes<I: Isa>(isa: I, block: &[u8; 176], line: usize) -> I::Codes {
        isa.or(nibbles(isa, block, 48, line), isa.shift_left::<4>(one_bit(isa, block, 16, line)))
    }
}

impl LargeFormat<210> for Q6K {
    const CENTRED: bool = true;
    #[inline(always)]
    fn header<I: Isa>(isa: I, block: &[u8; 210]) -> Header {
        let group_scales = isa.scale_bytes(at(block, 192));
        Header {
            scale: isa.half(*at(block, 208)),
            min: 0.0,
            group_scales,
            group_mins: isa.mins::<5>(group_scales),
        }
    }
    #[inline(always)]
    fn codes<I: Isa>(isa: I, block: &[u8; 210], line: usize) -> I::Codes {
        let start = line / 2 * 64;
        let shift = (line % 2 * 4) as i64;
        let low =
            isa.shift_right(isa.halves(at(block, start), at(block, start + 32)), [shift; 4], 0x0f);
        isa.or(low, isa.shift_left::<4>(two_bits(isa, block, 128, line)))
    }
}

/// d, dmin and the 6-bit scales and minima of Q4_K and Q5_K.
#[inline(always)]
fn six_bit_header<I: Isa>(isa: I, bytes: &[u8; 16]) -> Header {
    let [a, b, c] = words(at(bytes, 4));
    let (low, high) = (0x0f0f_0f0f, 0x0303_0303);
    let scales = [a & 0x3f3f_3f3f, (c & low) | ((a >> 6) & high) << 4];
    let mins = [b & 0x3f3f_3f3f, ((c >> 4) & low) | ((b >> 6) & high) << 4];
    Header {
        scale: isa.half(*at(bytes, 0)),
        min: isa.half(*at(bytes, 2)),
        group_scales: isa.scales_doubled(scales),
        group_mins: isa.mins::<0>(isa.scales_doubled(mins)),
    }
}

#[inline(always)]
fn words(bytes: &[u8; 12]) -> [u32; 3] {
    std::array::from_fn(|i| u32::from_le_bytes(*at(bytes, 4 * i)))
}

/// One activation row, block by block.
#[derive(Clone, Copy)]
struct Column<'a> {
    lines: &'a [[Line; LARGE_LINES]],
    scales: &'a [f32],
    group_sums: &'a [[i16; 16]],
}

/// All weight rows of the job against its `N` activation rows.
#[inline(always)]
pub(super) fn rows<I: Isa, F: LargeFormat<B>, const B: usize, const N: usize>(
    isa: I,
    job: &mut Job<'_, '_, N>,
) {
    let columns: [Column<'_>; N] = std::array::from_fn(|c| {
        let row = job.first + c;
        Column {
            lines: job.activations.lines(row).as_chunks().0,
            scales: job.activations.scales(row),
            group_sums: job.activations.group_sums(row),
        }
    });
    for (r, bytes) in job.weights.rows().enumerate() {
        let mut totals = [isa.splat(0.0); N];
        for (b, block) in bytes.as_chunks::<B>().0.iter().enumerate() {
            add::<I, F, B, N>(isa, block, &columns, b, &mut totals);
        }
        job.write(r, std::array::from_fn(|c| isa.sum(totals[c])));
    }
}

#[inline(always)]
fn add<I: Isa, F: LargeFormat<B>, const B: usize, const N: usize>(
    isa: I,
    block: &[u8; B],
    columns: &[Column<'_>; N],
    b: usize,
    totals: &mut [I::Floats; N],
) {
    let header = F::header(isa, block);
    let codes = [
        F::codes(isa, block, 0),
        F::codes(isa, block, 1),
        F::codes(isa, block, 2),
        F::codes(isa, block, 3),
    ];
    let scales = [0, 1, 2, 3].map(|line| isa.group_scales(header.group_scales, line));
    for c in 0..N {
        let lines = &columns[c].lines[b];
        let mut sums = isa.zero_sums();
        for line in 0..LARGE_LINES {
            sums = isa.multiply_add(
                sums,
                isa.dot_unsigned(codes[line], isa.line(&lines[line])),
                scales[line],
            );
        }
        let mins = isa.dot_groups(header.group_mins, &columns[c].group_sums[b]);
        let scale = columns[c].scales[b];
        if F::CENTRED {
            sums = isa.subtract_sums(sums, mins);
        } else {
            totals[c] = isa.fused(isa.splat(-header.min * scale), isa.floats(mins), totals[c]);
        }
        totals[c] = isa.fused(isa.splat(header.scale * scale), isa.floats(sums), totals[c]);
    }
}
