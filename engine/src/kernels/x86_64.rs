//! Kernels of x86-64 CPUs: one generic source, compiled once for AVX2 and once for AVX-512 with VNNI.
//!
//! `isa` names the register operations, `avx2` and `avx512` provide them; `small`, `large` and `float` are the loops.
//! A value of [`Avx2`] or [`Avx512`] exists only where the CPU has the features.
mod avx2;
mod avx512;
mod float;
mod isa;
mod job;
mod large;
mod loops;
mod multiply;
mod small;
mod vector;
mod vnni256;

pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;
pub(super) use vnni256::Vnni256;
