//! Chooses the loop for a format and passes over the activation columns in tiles.
use super::super::activations::{ActivationRow, Activations};
use super::super::attend::PageWork;
use super::super::packed::{self, TileOutput, UnitFill};
use super::super::pointwise::Pointwise;
use super::super::set::{KernelSet, WeightRows};
use super::avx2::Avx2;
use super::avx512::Avx512;
use super::float::{Bf16, F16, F32};
use super::job::Job;
use super::large::{Q2K, Q3K, Q4K, Q5K, Q6K};
use super::loops::Loops;
use super::small::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1};
use crate::kernels::scalar::Scalar;
use crate::quant::BlockFormat;

/// Columns of the widest tile: each weight block is unpacked once for so many activation columns.
const WIDE: usize = 8;

fn multiply<I: Loops>(
    isa: I,
    weights: WeightRows<'_>,
    activations: &Activations,
    first: usize,
    outputs: &mut [&mut [f32]],
) {
    let (wide, rest) = outputs.as_chunks_mut::<WIDE>();
    let mut next = first;
    for outputs in wide {
        dispatch(isa, &mut Job { weights, activations, first: next, outputs });
        next += WIDE;
    }
    let (four, rest) = rest.as_chunks_mut::<4>();
    for outputs in four {
        dispatch(isa, &mut Job { weights, activations, first: next, outputs });
        next += 4;
    }
    let (two, rest) = rest.as_chunks_mut::<2>();
    for outputs in two {
        dispatch(isa, &mut Job { weights, activations, first: next, outputs });
        next += 2;
    }
    for outputs in rest.as_chunks_mut::<1>().0 {
        dispatch(isa, &mut Job { weights, activations, first: next, outputs });
        next += 1;
    }
}

fn dispatch<I: Loops, const N: usize>(isa: I, job: &mut Job<'_, '_, N>) {
    match job.weights.format() {
        BlockFormat::F32 => isa.run_float::<F32, 64, N>(job),
        BlockFormat::F16 => isa.run_float::<F16, 32, N>(job),
        BlockFormat::BF16 => isa.run_float::<Bf16, 32, N>(job),
        BlockFormat::Q4_0 => isa.run_small::<Q4_0, 18, N>(job),
        BlockFormat::Q4_1 => isa.run_small::<Q4_1, 20, N>(job),
        BlockFormat::Q5_0 => isa.run_small::<Q5_0, 22, N>(job),
        BlockFormat::Q5_1 => isa.run_small::<Q5_1, 24, N>(job),
        BlockFormat::Q8_0 => isa.run_small::<Q8_0, 34, N>(job),
        BlockFormat::Q8_1 => isa.run_small::<Q8_1, 36, N>(job),
        BlockFormat::Q2_K => isa.run_large::<Q2K, 84, N>(job),
        BlockFormat::Q3_K => isa.run_large::<Q3K, 110, N>(job),
        BlockFormat::Q4_K => isa.run_large::<Q4K, 144, N>(job),
        BlockFormat::Q5_K => isa.run_large::<Q5K, 176, N>(job),
        BlockFormat::Q6_K => isa.run_large::<Q6K, 210, N>(job),
        // A format of activations; no model has weights in it, so it has no fast loop.
        BlockFormat::Q8_K => {
            let outputs = job.outputs.as_mut_slice();
            Scalar.multiply(job.weights, job.activations, job.first, outputs);
        }
    }
}

macro_rules! kernel_set {
    ($isa:ty, $name:literal) => {
        impl KernelSet for $isa {
            fn name(&self) -> &'static str {
                $name
            }

            fn quantize(&self, source: &[f32], row: ActivationRow<'_>) {
                self.run_quantize(source, row);
            }

            fn multiply(
                &self,
                weights: WeightRows<'_>,
                activations: &Activations,
                first: usize,
                outputs: &mut [&mut [f32]],
            ) {
                multiply(*self, weights, activations, first, outputs);
            }

            fn tile(
                &self,
                format: BlockFormat,
                width: usize,
                weights: &[u8],
                panel: &[u8],
                output: &mut TileOutput,
            ) {
                packed::tile(self.tiles(), format, width, weights, panel, output);
            }

            fn fill_unit(&self, work: &mut UnitFill<'_>) {
                self.run_fill_unit(work);
            }

            fn attend(&self, work: &mut PageWork<'_>) {
                packed::Tiles::attend(self.tiles(), work);
            }

            fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
                self.run_dot(a, b)
            }

            fn pointwise(&self, work: Pointwise<'_>) {
                self.run_pointwise(work);
            }
        }
    };
}
kernel_set!(Avx2, "avx2");
kernel_set!(Avx512, "avx512");
