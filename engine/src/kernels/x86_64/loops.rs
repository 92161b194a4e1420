//! The generic loops as an instruction set offers them: each compiled for the set, so that the operations of [`Isa`]
//! become single instructions in them.
use super::super::activations::ActivationRow;
use super::super::packed::UnitFill;
use super::super::pointwise::Pointwise;
use super::float::FloatFormat;
use super::isa::Isa;
use super::job::Job;
use super::large::LargeFormat;
use super::small::SmallFormat;

/// The loops, compiled for this set.
pub(super) trait Loops: Isa {
    fn run_small<F: SmallFormat<B>, const B: usize, const N: usize>(self, job: &mut Job<'_, '_, N>);
    fn run_large<F: LargeFormat<B>, const B: usize, const N: usize>(self, job: &mut Job<'_, '_, N>);
    fn run_float<F: FloatFormat<B>, const B: usize, const N: usize>(self, job: &mut Job<'_, '_, N>);
    fn run_quantize(self, source: &[f32], row: ActivationRow<'_>);
    fn run_fill_unit(self, work: &mut UnitFill<'_>);
    fn run_dot(self, a: &[f32], b: &[f32]) -> f32;
    fn run_pointwise(self, work: Pointwise<'_>);
}
