//! Weights packed for products: 16 rows interleaved, so that one register holds four codes of each of 16 rows.
//!
//! A dword of activations, broadcast, times such a register gives 16 sums at once: no horizontal adds, no shuffles, and
//! the next row group streams in while this one computes. The layout is the same on every CPU and takes as many bits a
//! weight as the file's; [`layout`] describes it. One generic tile (`tile`) serves all formats and instruction sets.
#![allow(
    clippy::needless_range_loop,
    reason = "registers are addressed by number, several arrays at a time"
)]
#![allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "a reference is a place in memory that one instruction reads"
)]
#[cfg(target_arch = "aarch64")]
mod aarch64;
mod formats;
mod isa;
pub mod layout;
mod pack;
mod panels;
mod portable;
mod product;
mod tile;
mod tiles;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm32;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use layout::PackedLayout;
pub use pack::pack_group;
pub use panels::Panels;
pub use product::{PackedMatrix, Product};

pub(in crate::kernels) use product::multiply_all;

pub(in crate::kernels) use panels::{UnitFill, fill_unit};
pub(in crate::kernels) use product::tile;
/// What a tile gives: 16 rows of each column.
pub(in crate::kernels) type TileOutput = [[f32; layout::ROWS]; panels::WIDTH];

#[cfg(target_arch = "aarch64")]
pub(in crate::kernels) use aarch64::NeonTiles;
pub(in crate::kernels) use isa::PackedIsa;
pub(in crate::kernels) use portable::Portable;
pub(in crate::kernels) use tiles::Tiles;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(in crate::kernels) use wasm32::Simd128Tiles;
#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) use x86_64::{Avx2Tiles, Avx512Tiles, AvxVnniTiles};
