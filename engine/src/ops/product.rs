//! Products of activations with weights, fast or exact: the one place where a model chooses.

use super::matmul::matmul_prepared;
use crate::{
    kernels::{ActivationFormat, Kernels, packed::Product},
    quant::dequantize_row,
    team::Team,
    weights::Matrix,
};

/// How products round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// Activations are rounded to the partner format of the weights (8 bits for quantized ones), as llama.cpp does.
    #[default]
    Fast,
    /// Weights are unpacked and multiplied in single precision: what the file means, many times slower. For tests,
    /// for measuring what the fast way loses, and for judging whether an odd answer is the model's.
    Exact,
}

/// Weights in a block of the Q4_0 family; K formats have more.
const SMALL_BLOCK: usize = 32;
/// Activations for packed weights of the two families.
const PANEL_FORMATS: [ActivationFormat; 2] = [ActivationFormat::Q8_1, ActivationFormat::Q8_K];
/// Weight rows of one exact task.
const EXACT_ROWS: usize = 64;

/// Kernels with a precision, and who computes.
#[derive(Debug, Clone, Copy)]
pub struct Products<'t> {
    /// The inner loops.
    pub kernels: Kernels,
    /// How products round.
    pub precision: Precision,
    /// The threads.
    pub team: &'t Team,
}

impl Products<'_> {
    /// `output[t * rows + r]` = weight row `r` times input row `t`, for rows of `width` inputs and several weights of
    /// one input, which is prepared once.
    pub fn multiply<const N: usize>(
        self,
        input: &[f32],
        width: usize,
        products: [(Matrix<'_>, &mut [f32]); N],
    ) {
        match self.precision {
            Precision::Fast => self.fast(input, width, products),
            Precision::Exact => {
                for (weight, output) in products {
                    self.exact(input, &weight, output);
                }
            }
        }
    }

    fn fast<const N: usize>(
        self,
        input: &[f32],
        width: usize,
        products: [(Matrix<'_>, &mut [f32]); N],
    ) {
        let mut by_kind = [Vec::new(), Vec::new()];
        let mut rows = Vec::new();
        for (weight, output) in products {
            match weight.packed() {
                Some(weights) => {
                    let kind = usize::from(weight.format().block_len() > SMALL_BLOCK);
                    by_kind[kind].push(Product { weights, output });
                }
                None => rows.push((weight, output)),
            }
        }
        for (mut products, format) in by_kind.into_iter().zip(PANEL_FORMATS) {
            if !products.is_empty()
                && let Some(panels) = self.kernels.panels(self.team, format, input, width)
            {
                self.kernels.multiply_packed(self.team, &panels, &mut products);
            }
        }
        self.rows(input, width, rows);
    }

    fn rows(self, input: &[f32], width: usize, products: Vec<(Matrix<'_>, &mut [f32])>) {
        let (kernels, team) = (&self.kernels, self.team);
        let mut prepared: Option<(ActivationFormat, _)> = None;
        for (weight, output) in products {
            let format = ActivationFormat::for_weights(weight.format());
            let usable = prepared.take().filter(|(prepared, _)| *prepared == format);
            let usable =
                usable.unwrap_or_else(|| (format, kernels.activations(team, format, input, width)));
            let (_, activations) = prepared.insert(usable);
            matmul_prepared(kernels, team, &weight, activations, output);
        }
    }

    fn exact(self, input: &[f32], weight: &Matrix<'_>, output: &mut [f32]) {
        let tokens = input.len() / weight.cols();
        let mut by_row = vec![0.0; tokens * weight.rows()];
        self.team.each_part(&mut by_row, EXACT_ROWS * tokens.max(1), |part, rows, _| {
            let mut unpacked = vec![0.0; weight.cols()];
            for (at, outputs) in rows.chunks_exact_mut(tokens.max(1)).enumerate() {
                let bytes = weight.row(part * EXACT_ROWS + at).unwrap_or_default();
                // The shape was checked when the model was opened.
                if dequantize_row(weight.format(), bytes, &mut unpacked).is_ok() {
                    for (output, input) in outputs.iter_mut().zip(input.chunks_exact(weight.cols()))
                    {
                        *output = self.kernels.dot(&unpacked, input);
                    }
                }
            }
        });
        for (row, outputs) in by_row.chunks_exact(tokens.max(1)).enumerate() {
            for (token, &number) in outputs.iter().enumerate() {
                output[token * weight.rows() + row] = number;
            }
        }
    }
}
