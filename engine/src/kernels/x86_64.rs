//! Kernels of x86-64 CPUs.
use half::f16;
use super::activations::{ActivationRow, Activations};
use super::scalar::Scalar;
use super::set::{KernelSet, WeightRows};
macro_rules! stub { ($n:ident, $s:literal) => {
#[derive(Debug, Clone, Copy)]
pub(super) struct $n(());
impl $n { pub(super) fn new() -> Option<Self> { None } }
impl KernelSet for $n {
    fn name(&self) -> &'static str { $s }
    fn quantize(&self, source: &[f32], row: ActivationRow<'_>) { Scalar.quantize(source, row) }
    fn multiply(&self, weights: WeightRows<'_>, activations: &Activations, first: usize, outputs: &mut [&mut [f32]]) { Scalar.multiply(weights, activations, first, outputs) }
    fn dot(&self, a: &[f32], b: &[f32]) -> f32 { Scalar.dot(a,b) }
    fn dot_f16(&self, a: &[f16], b: &[f32]) -> f32 { Scalar.dot_f16(a,b) }
    fn axpy(&self, factor: f32, x: &[f32], y: &mut [f32]) { Scalar.axpy(factor,x,y) }
    fn axpy_f16(&self, factor: f32, x: &[f16], y: &mut [f32]) { Scalar.axpy_f16(factor,x,y) }
}
}}
stub!(Avx2, "avx2");
stub!(Avx512, "avx512");
