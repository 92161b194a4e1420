//! What every instruction set provides, and the weight rows that it gets.
use super::activations::{ActivationRow, Activations};
use super::attend::{self, PageWork};
use super::packed::{self, Portable, TileOutput, UnitFill};
use super::pointwise::{self, Pointwise};
use crate::quant::BlockFormat;

/// Whole rows of weights of one format, checked once.
#[derive(Debug, Clone, Copy)]
pub struct WeightRows<'a> {
    format: BlockFormat,
    cols: usize,
    row_bytes: usize,
    bytes: &'a [u8],
}

impl<'a> WeightRows<'a> {
    /// Rows of `cols` weights; `None` when `bytes` is not a whole number of rows or a row not one of blocks.
    pub fn new(format: BlockFormat, cols: usize, bytes: &'a [u8]) -> Option<Self> {
        let row_bytes = format.row_bytes(cols).filter(|row_bytes| *row_bytes > 0)?;
        bytes.len().is_multiple_of(row_bytes).then_some(Self { format, cols, row_bytes, bytes })
    }

    /// Format of the blocks.
    pub fn format(&self) -> BlockFormat {
        self.format
    }

    /// Weights in a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The bytes of each row.
    pub fn rows(&self) -> std::slice::ChunksExact<'a, u8> {
        self.bytes.chunks_exact(self.row_bytes)
    }
}

/// One instruction set. The callers have checked that formats and lengths belong together.
pub(super) trait KernelSet {
    fn name(&self) -> &'static str;
    fn quantize(&self, source: &[f32], row: ActivationRow<'_>);
    fn multiply(
        &self,
        weights: WeightRows<'_>,
        activations: &Activations,
        first: usize,
        outputs: &mut [&mut [f32]],
    );
    /// One group of packed rows times a panel of `width` columns.
    fn tile(
        &self,
        format: BlockFormat,
        width: usize,
        weights: &[u8],
        panel: &[u8],
        output: &mut TileOutput,
    );
    fn fill_unit(&self, work: &mut UnitFill<'_>) {
        packed::fill_unit(work);
    }
    fn attend(&self, work: &mut PageWork<'_>) {
        attend::compute(Portable, work);
    }
    fn dot(&self, a: &[f32], b: &[f32]) -> f32;
    fn pointwise(&self, work: Pointwise<'_>) {
        pointwise::compute(work);
    }
}
