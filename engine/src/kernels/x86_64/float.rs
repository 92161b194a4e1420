//! Rows of plain floats (F32, F16, BF16), 16 at a time.
use super::isa::{Isa, LANES};
use super::job::Job;

/// How `B` bytes become 16 floats.
pub(super) trait FloatFormat<const B: usize> {
    fn load<I: Isa>(isa: I, bytes: &[u8; B]) -> I::Floats;
}

pub(super) struct F32;
pub(super) struct F16;
pub(super) struct Bf16;

impl FloatFormat<64> for F32 {
    #[inline(always)]
    fn load<I: Isa>(isa: I, bytes: &[u8; 64]) -> I::Floats {
        let floats = bytes.as_chunks::<4>().0;
        isa.load(&std::array::from_fn(|i| f32::from_le_bytes(floats[i])))
    }
}

impl FloatFormat<32> for F16 {
    #[inline(always)]
    fn load<I: Isa>(isa: I, bytes: &[u8; 32]) -> I::Floats {
        isa.load_f16(bytes)
    }
}

impl FloatFormat<32> for Bf16 {
    #[inline(always)]
    fn load<I: Isa>(isa: I, bytes: &[u8; 32]) -> I::Floats {
        isa.load_bf16(bytes)
    }
}

/// All weight rows of the job against its `N` activation rows.
#[inline(always)]
pub(super) fn rows<I: Isa, F: FloatFormat<B>, const B: usize, const N: usize>(
    isa: I,
    job: &mut Job<'_, '_, N>,
) {
    let columns: [&[f32]; N] = std::array::from_fn(|c| job.activations.floats(job.first + c));
    let tails: [[f32; LANES]; N] = columns.map(|column| padded(column.as_chunks::<LANES>().1));
    for (r, bytes) in job.weights.rows().enumerate() {
        let (steps, tail) = bytes.as_chunks::<B>();
        let mut totals = [isa.splat(0.0); N];
        for (s, step) in steps.iter().enumerate() {
            let weights = F::load(isa, step);
            for (total, column) in totals.iter_mut().zip(&columns) {
                *total = isa.fused(weights, isa.load(&column.as_chunks().0[s]), *total);
            }
        }
        if !tail.is_empty() {
            let weights = F::load(isa, &padded(tail));
            for (total, tail) in totals.iter_mut().zip(&tails) {
                *total = isa.fused(weights, isa.load(tail), *total);
            }
        }
        job.write(r, totals.map(|total| isa.sum(total)));
    }
}

/// The values, then zeros.
#[inline(always)]
fn padded<T: Copy + Default, const N: usize>(values: &[T]) -> [T; N] {
    std::array::from_fn(|i| values.get(i).copied().unwrap_or_default())
}
