//! Layer normalisation (Ba, Kiros and Hinton 2016).

use super::{product::Products, rows::each_row};

/// The weight and bias of a layer norm.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// One a number.
    pub weight: Vec<f32>,
    /// One a number.
    pub bias: Vec<f32>,
    /// Added to the variance before its root.
    pub epsilon: f32,
}

impl LayerNorm {
    /// `rows = (rows - mean) / sqrt(variance + epsilon) * weight + bias`, row by row, in place.
    pub fn apply(&self, products: Products<'_>, rows: &mut [f32]) {
        let width = self.weight.len();
        each_row(products.team, rows, width, |_, row| {
            let mean = row.iter().sum::<f32>() / width as f32;
            for number in row.iter_mut() {
                *number -= mean;
            }
            let variance = products.kernels.dot(row, row) / width as f32;
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            for ((number, &weight), &bias) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
                *number = *number * scale * weight + bias;
            }
        });
    }
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
    fn rows_get_the_mean_and_spread_of_the_weights() {
        let kernels = Kernels::select(KernelChoice::Auto).unwrap();
        let team = Team::solo();
        let products = Products { kernels, precision: Precision::Fast, team: &team };
        let norm = LayerNorm { weight: vec![2.0; 8], bias: vec![5.0; 8], epsilon: 0.0 };
        let mut rows: Vec<f32> = (0..24).map(|i| (i as f32 * 0.7).sin() * 3.0 + 1.0).collect();
        norm.apply(products, &mut rows);
        for row in rows.chunks_exact(8) {
            let mean = row.iter().sum::<f32>() / 8.0;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 8.0;
            assert!(
                (mean - 5.0).abs() < 1e-5 && (variance - 4.0).abs() < 1e-4,
                "{mean} {variance}"
            );
        }
    }
}
