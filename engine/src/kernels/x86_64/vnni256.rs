//! The 256-bit VNNI set: its own tiles, and AVX2 for everything else.

use super::super::activations::{ActivationRow, Activations};
use super::super::attend::PageWork;
use super::super::packed::{self, AvxVnniTiles, TileOutput, Tiles, UnitFill};
use super::super::pointwise::Pointwise;
use super::super::set::{KernelSet, WeightRows};
use super::avx2::Avx2;
use crate::quant::BlockFormat;

/// AVX2 with other tiles.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Vnni256<T> {
    rest: Avx2,
    tiles: T,
}

impl Vnni256<AvxVnniTiles<false>> {
    /// With AVX-VNNI; `None` when the CPU lacks it.
    pub(in crate::kernels) fn new() -> Option<Self> {
        Some(Self { rest: Avx2::new()?, tiles: AvxVnniTiles::new()? })
    }
}

impl Vnni256<AvxVnniTiles<true>> {
    /// With the 256-bit forms of AVX-512 VNNI; `None` when the CPU lacks them.
    pub(in crate::kernels) fn new_evex() -> Option<Self> {
        Some(Self { rest: Avx2::new()?, tiles: AvxVnniTiles::new_evex()? })
    }
}

impl<T: Tiles> KernelSet for Vnni256<T> {
    fn name(&self) -> &'static str {
        "avxvnni"
    }

    fn quantize(&self, source: &[f32], row: ActivationRow<'_>) {
        self.rest.quantize(source, row);
    }

    fn multiply(
        &self,
        weights: WeightRows<'_>,
        activations: &Activations,
        first: usize,
        outputs: &mut [&mut [f32]],
    ) {
        self.rest.multiply(weights, activations, first, outputs);
    }

    fn tile(
        &self,
        format: BlockFormat,
        width: usize,
        weights: &[u8],
        panel: &[u8],
        output: &mut TileOutput,
    ) {
        packed::tile(self.tiles, format, width, weights, panel, output);
    }

    fn fill_unit(&self, work: &mut UnitFill<'_>) {
        self.rest.fill_unit(work);
    }

    fn attend(&self, work: &mut PageWork<'_>) {
        self.tiles.attend(work);
    }

    fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        self.rest.dot(a, b)
    }

    fn pointwise(&self, work: Pointwise<'_>) {
        self.rest.pointwise(work);
    }
}
