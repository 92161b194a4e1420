//! A tile, and what an instruction set compiles for itself.
use super::formats::PackedFormat;
use super::isa::PackedIsa;
use super::layout::ROWS;
use super::panels::WIDTH;
use crate::kernels::attend::PageWork;

/// A tile: one group of rows times one panel of `N` columns.
pub(in crate::kernels) struct Tile<'a, const N: usize> {
    /// The group's bytes.
    pub(super) weights: &'a [u8],
    /// The panel's bytes.
    pub(super) panel: &'a [u8],
    /// The first `N` columns are written.
    pub(super) output: &'a mut [[f32; ROWS]; WIDTH],
}

/// Tiles, compiled for an instruction set.
pub(in crate::kernels) trait Tiles: PackedIsa {
    fn run<F: PackedFormat, const N: usize>(self, tile: &mut Tile<'_, N>);
    fn attend(self, work: &mut PageWork<'_>);
}
