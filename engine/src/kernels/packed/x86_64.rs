//! The operations on x86-64.
mod avx2;
mod avx512;
mod avx_vnni;
mod halves;

pub(in crate::kernels) use avx_vnni::AvxVnniTiles;
pub(in crate::kernels) use avx2::Avx2Tiles;
pub(in crate::kernels) use avx512::Avx512Tiles;
