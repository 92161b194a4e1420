//! Root-mean-square normalisation (Zhang and Sennrich 2019).

use super::{
    product::Products,
    rows::{each_row, row},
};
use crate::kernels::Pointwise;

/// `output = input / sqrt(mean(input^2) + epsilon) * weight`, for each row of `weight.len()` numbers.
pub fn rms_norm(
    products: Products<'_>,
    input: &[f32],
    weight: &[f32],
    epsilon: f32,
    output: &mut [f32],
) {
    let width = weight.len();
    each_row(products.team, output, width, |index, normed| {
        let input = row(input, width, index);
        let mean = products.kernels.dot(input, input) / width as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        products.kernels.pointwise(Pointwise::Scale { output: normed, input, scale, weight });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{KernelChoice, Kernels},
        ops::product::Precision,
        team::Team,
    };

    #[test]
    fn rows_have_the_size_of_the_weight() {
        let kernels = Kernels::select(KernelChoice::Auto).unwrap();
        let input: Vec<f32> =
            (0..40 * 8).map(|i| (i as f32 * 0.7).sin() * (1 + i / 8) as f32).collect();
        let mut output = vec![0.0; input.len()];
        let team = Team::solo();
        let products = Products { kernels, precision: Precision::Fast, team: &team };
        rms_norm(products, &input, &[2.0; 8], 0.0, &mut output);
        for row in output.chunks_exact(8) {
            let mean = row.iter().map(|x| x * x).sum::<f32>() / 8.0;
            assert!((mean - 4.0).abs() < 1e-4, "{mean}");
        }
    }
}
