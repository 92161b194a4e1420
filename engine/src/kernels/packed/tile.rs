//! The one inner loop of all products: a group of 16 rows times a panel of up to 8 columns.
//!
//! The codes of 32 weights of each row are unpacked once and stay in eight registers while every column passes over
//! them. Sums of codes around zero start at minus the centre times the activations' sum, so no multiplication is spent on
//! the centre.
use super::formats::{DWORDS, PackedFormat, at};
use super::isa::PackedIsa;
use super::layout::{LARGE_UNIT, LINE, SMALL_UNIT, SUB};
use super::panels::{LargeUnit, SmallUnit};
use super::tiles::Tile;

/// Computes a tile; the layout's sizes were checked when the matrix and the panel were made.
#[inline(always)]
pub(super) fn compute<I: PackedIsa, F: PackedFormat, const N: usize>(
    isa: I,
    tile: &mut Tile<'_, N>,
) {
    let totals = if F::UNIT == SMALL_UNIT {
        small::<I, F, N>(isa, tile)
    } else {
        large::<I, F, N>(isa, tile)
    };
    for (total, output) in totals.into_iter().zip(tile.output.iter_mut()) {
        isa.store(total, output);
    }
}

#[inline(always)]
fn small<I: PackedIsa, F: PackedFormat, const N: usize>(
    isa: I,
    tile: &Tile<'_, N>,
) -> [I::Floats; N] {
    let mut totals = [isa.splat(0.0); N];
    let factor = isa.splat(F::FACTOR);
    let units = tile.weights.chunks_exact(F::UNIT_BYTES);
    for (unit, panel) in units.zip(tile.panel.chunks_exact(N * SmallUnit::BYTES)) {
        let panel = SmallUnit::new::<N>(panel);
        for block in 0..SMALL_UNIT / SUB {
            let mut scale = isa.halves(at(unit, block * 32));
            if F::FACTOR != 1.0 {
                scale = isa.multiply(scale, factor);
            }
            let lines = &unit[F::HEADER + block * F::LINES * LINE..];
            let codes = F::codes(isa, lines);
            for (column, total) in totals.iter_mut().enumerate() {
                let start = start::<I, F>(isa, panel.start(column, block));
                let sums = dots::<I, F, DWORDS>(isa, start, &codes, panel.codes(column, block));
                let both = isa.multiply(scale, isa.splat(panel.scale(column, block)));
                *total = isa.fused(both, isa.floats(sums), *total);
                if F::MINS {
                    let min = isa.halves(at(unit, (SMALL_UNIT / SUB + block) * 32));
                    *total = isa.fused(min, isa.splat(panel.sum(column, block)), *total);
                }
            }
        }
    }
    totals
}

#[inline(always)]
fn large<I: PackedIsa, F: PackedFormat, const N: usize>(
    isa: I,
    tile: &Tile<'_, N>,
) -> [I::Floats; N] {
    let mut totals = [isa.splat(0.0); N];
    let units = tile.weights.chunks_exact(F::UNIT_BYTES);
    for (unit, panel) in units.zip(tile.panel.chunks_exact(N * LargeUnit::BYTES)) {
        let panel = LargeUnit::new::<N>(panel);
        let scales = F::large_scales(isa, unit);
        let mut partial = [isa.splat(0.0); N];
        if F::MINS {
            for (column, partial) in partial.iter_mut().enumerate() {
                *partial = mins::<I, F>(isa, &scales.mins, scales.min, &panel, column);
            }
        }
        for sub in 0..LARGE_UNIT / SUB {
            let codes = F::codes(isa, &unit[F::HEADER + sub * F::LINES * LINE..]);
            for (column, partial) in partial.iter_mut().enumerate() {
                let activations = panel.codes(column, sub);
                if F::GROUP == SUB {
                    let sums = dots::<I, F, DWORDS>(isa, isa.splat_sum(0), &codes, activations);
                    *partial = isa.fused(scales.groups[sub], isa.floats(sums), *partial);
                    continue;
                }
                for half in 0..2 {
                    let group = 2 * sub + half;
                    let start = start::<I, F>(isa, panel.start(column, group));
                    let first = half * DWORDS / 2;
                    let sums = dots::<I, F, { DWORDS / 2 }>(
                        isa,
                        start,
                        &codes[first..],
                        &activations[first..],
                    );
                    *partial = isa.fused(scales.groups[group], isa.floats(sums), *partial);
                }
            }
        }
        for (column, total) in totals.iter_mut().enumerate() {
            *total = isa.fused(partial[column], isa.splat(panel.scale(column)), *total);
        }
    }
    totals
}

/// Minus the minima times the sums of the activations.
#[inline(always)]
fn mins<I: PackedIsa, F: PackedFormat>(
    isa: I,
    mins: &[I::Sums; 8],
    min: I::Floats,
    panel: &LargeUnit<'_>,
    column: usize,
) -> I::Floats {
    let mut sums = isa.splat_sum(0);
    let pairs = if F::GROUP == SUB { 4 } else { 8 };
    for pair in 0..pairs {
        let factors = if F::GROUP == SUB {
            panel.pair_of_32(column, pair)
        } else {
            panel.pair_of_16(column, pair)
        };
        sums = isa.dot_pairs(sums, mins[pair], &factors);
    }
    isa.multiply(isa.multiply(min, isa.splat(-1.0)), isa.floats(sums))
}

#[inline(always)]
fn start<I: PackedIsa, F: PackedFormat>(isa: I, start: i32) -> I::Sums {
    if F::WIDE {
        isa.start_wide(start)
    } else if F::CENTRED {
        isa.splat_sum(start)
    } else {
        isa.splat_sum(0)
    }
}

#[inline(always)]
fn dots<I: PackedIsa, F: PackedFormat, const D: usize>(
    isa: I,
    mut sums: I::Sums,
    codes: &[I::Codes],
    activations: &[[i8; 4]],
) -> I::Sums {
    let (codes, activations) = (&codes[..D], &activations[..D]);
    for i in 0..D {
        sums = if F::WIDE {
            isa.dot_wide(sums, codes[i], &activations[i])
        } else {
            isa.dot(sums, codes[i], &activations[i])
        };
    }
    sums
}
