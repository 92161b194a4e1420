//! Fused attention over one page: scores, softmax and weighted values of some rows of queries, kept in registers and a
//! score row of one page, never as a matrix (online softmax: Milakov and Gimelshein 2018, Dao et al. 2022).
#![allow(
    clippy::needless_range_loop,
    reason = "registers are addressed by number, several arrays at a time"
)]
use std::ops::Range;

use super::exp::exp;
use super::packed::PackedIsa;

/// Tokens of a page.
pub const PAGE: usize = 32;
/// Lanes of a register.
const LANES: usize = 16;
/// Rows whose scores are computed together: with two registers each they leave room for keys.
const SCORE_ROWS: usize = 6;
/// Rows and registers of values that are mixed together.
const MIX_ROWS: usize = 4;
const MIX_REGISTERS: usize = 4;
/// What rows of queries have gathered from the pages so far.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Largest score of each row.
    peaks: Vec<f32>,
    /// Sum of the weights of each row, relative to its largest score.
    sums: Vec<f32>,
    /// Weighted values: `rows x padded(dim)`.
    values: Vec<f32>,
    /// Keys of the page, dimension by dimension.
    turned: Vec<f32>,
    /// Scores, then weights, of the page.
    scores: Vec<[f32; PAGE]>,
}

/// One page and the rows that look at it.
#[derive(Debug)]
pub struct PageWork<'a> {
    /// Queries times the scale: `rows x padded(dim)`.
    pub queries: &'a [f32],
    /// Keys and values of the page's tokens: `tokens x padded(dim)`; zeros fill up.
    pub keys: &'a [f32],
    /// As the keys.
    pub values: &'a [f32],
    /// Numbers of a head, filled up to a multiple of 16: see [`padded`].
    pub dim: usize,
    /// Tokens on the page that each row sees.
    pub seen: &'a [Range<usize>],
    /// Scores are bent to stay below this; 0 is off.
    pub soft_cap: f32,
    /// What the rows gather.
    pub gathered: &'a mut Gathered,
}

/// The numbers of a head, filled up.
pub fn padded(dim: usize) -> usize {
    dim.next_multiple_of(LANES)
}

impl Gathered {
    /// Nothing yet, for `rows` rows of `dim` (padded) numbers.
    pub fn start(&mut self, rows: usize, dim: usize) {
        self.peaks.clear();
        self.peaks.resize(rows, f32::NEG_INFINITY);
        self.sums.clear();
        self.sums.resize(rows, 0.0);
        self.values.clear();
        self.values.resize(rows * dim, 0.0);
        self.scores.resize(rows, [0.0; PAGE]);
        self.turned.resize(dim * PAGE, 0.0);
    }

    /// Writes the first numbers of row `row` of `dim` (padded) numbers, divided by the sum of the weights; zeros for a
    /// row that has seen nothing.
    pub fn finish(&self, row: usize, dim: usize, output: &mut [f32]) {
        let sum = self.sums[row];
        let factor = if sum > 0.0 || sum.is_nan() { 1.0 / sum } else { 0.0 };
        for (output, value) in output.iter_mut().zip(&self.values[row * dim..(row + 1) * dim]) {
            *output = value * factor;
        }
    }
}

/// Lets every row gather from the page. What a row gets does not depend on the rows beside it, so that a sequence computes
/// the same bits alone, in a batch, in pieces and with drafts.
#[inline(always)]
pub(super) fn compute<I: PackedIsa>(isa: I, work: &mut PageWork<'_>) {
    let tokens = (work.keys.len() / work.dim).min(PAGE);
    turn(isa, work, tokens);
    scores(isa, work);
    weigh(isa, work);
    mix(isa, work, tokens);
}

/// Keys dimension by dimension, so that a register holds the same number of 16 tokens. Tokens that are missing repeat
/// what is there; nobody sees them.
#[inline(always)]
fn turn<I: PackedIsa>(isa: I, work: &mut PageWork<'_>, tokens: usize) {
    let dim = work.dim;
    for first in (0..tokens).step_by(LANES) {
        for at in (0..dim).step_by(LANES) {
            let mut square = [isa.splat(0.0); LANES];
            for (token, row) in square.iter_mut().enumerate() {
                let token = (first + token).min(tokens - 1);
                *row = isa.load(&work.keys[token * dim + at..].as_chunks().0[0]);
            }
            let square = isa.transpose(square);
            let turned = &mut work.gathered.turned.as_chunks_mut::<PAGE>().0[at..at + LANES];
            for (row, turned) in square.iter().zip(turned) {
                isa.store(*row, &mut turned[first..].as_chunks_mut().0[0]);
            }
        }
    }
}

#[inline(always)]
fn scores<I: PackedIsa>(isa: I, work: &mut PageWork<'_>) {
    let rows = work.seen.len();
    let mut first = 0;
    while rows - first >= SCORE_ROWS {
        score_block::<I, SCORE_ROWS>(isa, work, first);
        first += SCORE_ROWS;
    }
    while rows - first >= 2 {
        score_block::<I, 2>(isa, work, first);
        first += 2;
    }
    if first < rows {
        score_block::<I, 1>(isa, work, first);
    }
}

#[inline(always)]
fn score_block<I: PackedIsa, const R: usize>(isa: I, work: &mut PageWork<'_>, first: usize) {
    let mut sums = [[isa.splat(0.0); 2]; R];
    let dim = work.dim;
    let mut queries: [&[f32]; R] = [&[]; R];
    for (row, query) in queries.iter_mut().enumerate() {
        *query = &work.queries[(first + row) * dim..][..dim];
    }
    let turned = &work.gathered.turned.as_chunks::<PAGE>().0[..dim];
    for at in 0..dim {
        let low = load(isa, &turned[at], 0);
        let high = load(isa, &turned[at], 1);
        for row in 0..R {
            let query = isa.splat(queries[row][at]);
            sums[row][0] = isa.fused(query, low, sums[row][0]);
            sums[row][1] = isa.fused(query, high, sums[row][1]);
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        let scores = work.gathered.scores[first + row].as_chunks_mut::<LANES>().0;
        isa.store(sums[0], &mut scores[0]);
        isa.store(sums[1], &mut scores[1]);
    }
}

/// Scores become weights relative to the row's largest score, which earlier weights are brought up to.
#[inline(always)]
fn weigh<I: PackedIsa>(isa: I, work: &mut PageWork<'_>) {
    let Gathered { peaks, sums, values, scores, .. } = &mut *work.gathered;
    for (row, seen) in work.seen.iter().enumerate() {
        let scores = &mut scores[row];
        if seen.is_empty() {
            scores.fill(0.0);
            continue;
        }
        if work.soft_cap > 0.0 {
            for score in scores.iter_mut() {
                *score = work.soft_cap * tanh(*score / work.soft_cap);
            }
        }
        if seen.len() < PAGE {
            hide(scores, seen);
        }
        let [low, high] = halves(isa, scores);
        let before = peaks[row];
        let here = isa.largest(isa.larger(low, high));
        let peak = if here > before { here } else { before };
        for score in scores.iter_mut() {
            *score = exp(*score - peak);
        }
        let [low, high] = halves(isa, scores);
        let sum = isa.sum(isa.fused(low, isa.splat(1.0), high));
        if peak > before && sums[row] != 0.0 {
            let factor = exp(before - peak);
            sums[row] *= factor;
            let factor = isa.splat(factor);
            for values in values[row * work.dim..(row + 1) * work.dim].as_chunks_mut::<LANES>().0 {
                isa.store(isa.multiply(factor, isa.load(values)), values);
            }
        }
        peaks[row] = peak;
        sums[row] += sum;
    }
}

/// Scores of tokens that the row does not see weigh nothing.
#[inline(always)]
fn hide(scores: &mut [f32; PAGE], seen: &Range<usize>) {
    for (token, score) in scores.iter_mut().enumerate() {
        let visible = token >= seen.start && token < seen.end;
        *score = if visible { *score } else { f32::NEG_INFINITY };
    }
}

#[inline(always)]
fn halves<I: PackedIsa>(isa: I, scores: &[f32; PAGE]) -> [I::Floats; 2] {
    [load(isa, scores, 0), load(isa, scores, 1)]
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    // e^2x is infinite or 0 at the ends, which gives 1 and -1.
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[inline(always)]
fn mix<I: PackedIsa>(isa: I, work: &mut PageWork<'_>, tokens: usize) {
    let rows = work.seen.len();
    let mut first = 0;
    while rows - first >= MIX_ROWS {
        mix_rows::<I, MIX_ROWS>(isa, work, first, tokens);
        first += MIX_ROWS;
    }
    while first < rows {
        mix_rows::<I, 1>(isa, work, first, tokens);
        first += 1;
    }
}

#[inline(always)]
fn mix_rows<I: PackedIsa, const R: usize>(
    isa: I,
    work: &mut PageWork<'_>,
    first: usize,
    tokens: usize,
) {
    let registers = work.dim / LANES;
    let mut at = 0;
    while registers - at >= MIX_REGISTERS {
        mix_block::<I, R, MIX_REGISTERS>(isa, work, first, at, tokens);
        at += MIX_REGISTERS;
    }
    while at < registers {
        mix_block::<I, R, 1>(isa, work, first, at, tokens);
        at += 1;
    }
}

#[inline(always)]
fn mix_block<I: PackedIsa, const R: usize, const C: usize>(
    isa: I,
    work: &mut PageWork<'_>,
    first: usize,
    at: usize,
    tokens: usize,
) {
    let dim = work.dim;
    let Gathered { values: gathered, scores, .. } = &mut *work.gathered;
    let mut sums = [[isa.splat(0.0); C]; R];
    for row in 0..R {
        for c in 0..C {
            sums[row][c] = load(isa, &gathered[(first + row) * dim..], at + c);
        }
    }
    let scores = &scores[first..first + R];
    let values = work.values.chunks_exact(dim);
    for (token, value) in values.enumerate().take(tokens.min(PAGE)) {
        let value = &value.as_chunks::<LANES>().0[at..at + C];
        for row in 0..R {
            let weight = isa.splat(scores[row][token]);
            for c in 0..C {
                sums[row][c] = isa.fused(weight, isa.load(&value[c]), sums[row][c]);
            }
        }
    }
    for row in 0..R {
        for c in 0..C {
            let start = (first + row) * dim + (at + c) * LANES;
            isa.store(sums[row][c], &mut gathered[start..].as_chunks_mut().0[0]);
        }
    }
}

/// Register `index` of some numbers.
#[inline(always)]
fn load<I: PackedIsa>(isa: I, numbers: &[f32], index: usize) -> I::Floats {
    isa.load(&numbers.as_chunks::<LANES>().0[index])
}
