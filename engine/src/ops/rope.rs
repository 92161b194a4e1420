//! Rotary position embedding (Su et al. 2021): turns pairs of numbers by an angle that grows with the position.
//!
//! The pairs are neighbours (2i, 2i+1), the form in which GGUF files of the llama family order their weights.

/// How fast each pair turns, in radians a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    frequencies: Vec<f64>,
}

impl Rope {
    /// `dimensions` numbers at the start of each head turn; `factors` slow single pairs down (`rope_freqs.weight`),
    /// one a pair or none. `scale` divides positions (linear scaling; 1 is off).
    pub fn new(base: f32, dimensions: usize, scale: f32, factors: Option<&[f32]>) -> Self {
        let frequency = |pair: usize| {
            let factor = factors
                .and_then(|factors| factors.get(pair))
                .map_or(1.0, |&factor| f64::from(factor));
            f64::from(base).powf(-2.0 * pair as f64 / dimensions as f64)
                / (factor * f64::from(scale))
        };
        Self { frequencies: (0..dimensions / 2).map(frequency).collect() }
    }

    /// Numbers of a row of the table: cosine and sine for each pair.
    pub fn row_len(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// Fills a row of the table for one position: cosine, sine, cosine, sine...
    pub fn fill(&self, position: usize, row: &mut [f32]) {
        for (pair, frequency) in row.chunks_exact_mut(2).zip(&self.frequencies) {
            let angle = position as f64 * frequency;
            pair.copy_from_slice(&[angle.cos() as f32, angle.sin() as f32]);
        }
    }
}

/// Turns every head of a token by a filled row of the table.
pub fn rotate(heads: &mut [f32], head_dim: usize, row: &[f32]) {
    for head in heads.chunks_exact_mut(head_dim) {
        for (pair, turn) in head.chunks_exact_mut(2).zip(row.chunks_exact(2)) {
            let (x, y, cosine, sine) = (pair[0], pair[1], turn[0], turn[1]);
            pair[0] = x * cosine - y * sine;
            pair[1] = x * sine + y * cosine;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_turns_by_its_angle_and_keeps_its_length() {
        let rope = Rope::new(10_000.0, 4, 1.0, None);
        let mut row = [0.0; 4];
        rope.fill(3, &mut row);
        let mut head = [1.0, 0.0, 0.0, 2.0, 7.0];
        rotate(&mut head[..4], 4, &row);
        let expected = [3_f32.cos(), 3_f32.sin(), -2.0 * 0.03_f32.sin(), 2.0 * 0.03_f32.cos()];
        head[..4].iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
    }

    #[test]
    fn factors_and_scale_slow_the_turn() {
        let mut row = [0.0; 4];
        Rope::new(10_000.0, 4, 2.0, Some(&[1.0, 8.0])).fill(4, &mut row);
        assert!((row[0] - 2_f32.cos()).abs() < 1e-6);
        assert!((row[3] - 0.0025_f32.sin()).abs() < 1e-7);
    }

    #[test]
    fn numbers_past_the_dimensions_stay() {
        let mut row = [0.0; 2];
        Rope::new(10_000.0, 2, 1.0, None).fill(1, &mut row);
        let mut head = [1.0, 0.0, 5.0, 6.0];
        rotate(&mut head, 4, &row);
        assert_eq!(head[2..], [5.0, 6.0]);
    }
}
