//! A kernel set made of the operations of tiles alone, for instruction sets that the whole program is compiled for.
//!
//! Quantized weights come packed and are multiplied in tiles. Rows that are not packed are floats, which the same
//! operations serve; other rows go the reference's way.
use super::activations::{ActivationRow, Activations};
use super::attend::PageWork;
use super::packed::{self, TileOutput, Tiles, layout::ROWS};
use super::scalar::{self, Scalar};
use super::set::{KernelSet, WeightRows};
use crate::quant::BlockFormat;

/// The set with its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiled<I> {
    isa: I,
    name: &'static str,
}

impl<I> Tiled<I> {
    pub(super) fn new(isa: I, name: &'static str) -> Self {
        Self { isa, name }
    }
}

impl<I: Tiles> KernelSet for Tiled<I> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn quantize(&self, source: &[f32], row: ActivationRow<'_>) {
        scalar::quantize(source, row);
    }

    fn multiply(
        &self,
        weights: WeightRows<'_>,
        activations: &Activations,
        first: usize,
        outputs: &mut [&mut [f32]],
    ) {
        let isa = self.isa;
        let product: fn(I, &[u8], &[f32]) -> f32 = match weights.format() {
            BlockFormat::F32 => |isa, row, floats| dot(isa, row.as_chunks().0, floats, words),
            BlockFormat::F16 => |isa, row, floats| dot(isa, row.as_chunks().0, floats, halves),
            BlockFormat::BF16 => |isa, row, floats| dot(isa, row.as_chunks().0, floats, upper),
            _ => return Scalar.multiply(weights, activations, first, outputs),
        };
        for (r, row) in weights.rows().enumerate() {
            for (column, output) in outputs.iter_mut().enumerate() {
                if let Some(output) = output.get_mut(r) {
                    *output = product(isa, row, activations.floats(first + column));
                }
            }
        }
    }

    fn tile(
        &self,
        format: BlockFormat,
        width: usize,
        weights: &[u8],
        panel: &[u8],
        output: &mut TileOutput,
    ) {
        packed::tile(self.isa, format, width, weights, panel, output);
    }

    fn attend(&self, work: &mut PageWork<'_>) {
        self.isa.attend(work);
    }

    fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        dot(self.isa, a, b, singles)
    }
}

/// Sum of products over the shorter length; what is left after whole steps is filled up with zeros.
#[inline(always)]
fn dot<I: Tiles, T: Copy + Default>(
    isa: I,
    a: &[T],
    b: &[f32],
    load: impl Fn(I, &[T; ROWS]) -> I::Floats,
) -> f32 {
    let len = a.len().min(b.len());
    let ((a, a_rest), (b, b_rest)) = (a[..len].as_chunks(), b[..len].as_chunks());
    let mut total = isa.splat(0.0);
    for (a, b) in a.iter().zip(b) {
        total = isa.fused(load(isa, a), singles(isa, b), total);
    }
    if !a_rest.is_empty() {
        total = isa.fused(load(isa, &filled(a_rest)), singles(isa, &filled(b_rest)), total);
    }
    let mut lanes = [0.0; ROWS];
    isa.store(total, &mut lanes);
    lanes.iter().sum()
}

/// The values, then zeros.
#[inline(always)]
fn filled<T: Copy + Default>(values: &[T]) -> [T; ROWS] {
    std::array::from_fn(|i| values.get(i).copied().unwrap_or_default())
}

#[inline(always)]
fn singles<I: Tiles>(isa: I, values: &[f32; ROWS]) -> I::Floats {
    isa.load(values)
}

#[inline(always)]
fn words<I: Tiles>(isa: I, words: &[[u8; 4]; ROWS]) -> I::Floats {
    isa.singles(&flat(words))
}

#[inline(always)]
fn halves<I: Tiles>(isa: I, halves: &[[u8; 2]; ROWS]) -> I::Floats {
    isa.halves(&flat(halves))
}

/// bfloat16 numbers: the upper halves of floats.
#[inline(always)]
fn upper<I: Tiles>(isa: I, halves: &[[u8; 2]; ROWS]) -> I::Floats {
    words(isa, &halves.map(|[low, high]| [0, 0, low, high]))
}

/// The bytes of 16 numbers in a row.
#[inline(always)]
fn flat<const B: usize, const N: usize>(numbers: &[[u8; B]; ROWS]) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
        *to = *from;
    }
    bytes
}
