//! One tile of a product: some weight rows, `N` activation rows, and where the results go.
use super::super::activations::Activations;
use super::super::set::WeightRows;

/// Weight rows against `N` activation rows, and where the results go.
pub(super) struct Job<'a, 'o, const N: usize> {
    pub(super) weights: WeightRows<'a>,
    pub(super) activations: &'a Activations,
    /// First activation row.
    pub(super) first: usize,
    pub(super) outputs: &'a mut [&'o mut [f32]; N],
}

impl<const N: usize> Job<'_, '_, N> {
    /// Writes the results of weight row `r`.
    #[inline(always)]
    pub(super) fn write(&mut self, r: usize, results: [f32; N]) {
        for (output, result) in self.outputs.iter_mut().zip(results) {
            if let Some(output) = output.get_mut(r) {
                *output = result;
            }
        }
    }
}
