//! Rotary position embedding (Su et al. 2021): turns pairs of numbers by an angle that grows with the position.
//!
//! Longer contexts than a model was trained for slow the pairs down: all alike (linear), the slow ones only (yarn, Peng
//! et al. 2023), or each by a factor of its own (llama 3.1, longrope).

use std::f64::consts::PI;

/// Which numbers of a head are a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// 2i and 2i + 1, the order in which GGUF files of the llama family keep their weights.
    Neighbours,
    /// i and i + half of the dimensions ("neox").
    Halves,
}

/// How fast the pairs of a head turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RopeSpec {
    /// Base of the frequencies.
    pub base: f32,
    /// Numbers at the start of a head that turn; even.
    pub dimensions: usize,
    /// Which of them are pairs.
    pub pairing: Pairing,
    /// Positions are divided by this; 1 is off.
    pub scale: f32,
    /// Which pairs are not divided.
    pub yarn: Option<Yarn>,
    /// Turned numbers are multiplied by this.
    pub magnitude: f32,
}

/// Pairs that turn often inside the original context keep their speed, the others are divided by the scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yarn {
    /// Tokens that the model was first trained for.
    pub original_context: usize,
    /// Turns inside the original context above which a pair keeps its speed.
    pub beta_fast: f32,
    /// Turns below which a pair is divided by the whole scale.
    pub beta_slow: f32,
}

/// How fast each pair turns, in radians a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    frequencies: Vec<f64>,
    magnitude: f64,
    pairing: Pairing,
}

impl Rope {
    /// `factors` slow single pairs down, one a pair or none.
    pub fn new(spec: &RopeSpec, factors: Option<&[f32]>) -> Self {
        let dimensions = spec.dimensions as f64;
        let frequency = |pair: usize| {
            let factor = factors.and_then(|factors| factors.get(pair)).copied().unwrap_or(1.0);
            let fast =
                f64::from(spec.base).powf(-2.0 * pair as f64 / dimensions) / f64::from(factor);
            let slow = fast / f64::from(spec.scale);
            let keeps = spec.yarn.map_or(0.0, |yarn| yarn.keeps(spec, pair));
            slow * (1.0 - keeps) + fast * keeps
        };
        Self {
            frequencies: (0..spec.dimensions / 2).map(frequency).collect(),
            magnitude: f64::from(spec.magnitude),
            pairing: spec.pairing,
        }
    }

    /// Numbers of a row of the table: cosine and sine for each pair.
    pub fn row_len(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// Fills a row of the table for one position: cosine, sine, cosine, sine...
    pub fn fill(&self, position: usize, row: &mut [f32]) {
        for (pair, frequency) in row.chunks_exact_mut(2).zip(&self.frequencies) {
            let angle = position as f64 * frequency;
            let (cosine, sine) = (angle.cos() * self.magnitude, angle.sin() * self.magnitude);
            pair.copy_from_slice(&[cosine as f32, sine as f32]);
        }
    }

    /// Turns a head by a filled row of the table.
    pub fn turn(&self, head: &mut [f32], row: &[f32]) {
        let turns = row.chunks_exact(2).map(|turn| (turn[0], turn[1]));
        match self.pairing {
            Pairing::Neighbours => {
                for (pair, (cosine, sine)) in head.chunks_exact_mut(2).zip(turns) {
                    (pair[0], pair[1]) =
                        (pair[0] * cosine - pair[1] * sine, pair[0] * sine + pair[1] * cosine);
                }
            }
            Pairing::Halves => {
                let (first, second) = head.split_at_mut(self.frequencies.len());
                for ((x, y), (cosine, sine)) in first.iter_mut().zip(second).zip(turns) {
                    (*x, *y) = (*x * cosine - *y * sine, *x * sine + *y * cosine);
                }
            }
        }
    }
}

impl Yarn {
    /// How much of a pair's own speed stays: 1 for the fast pairs, 0 for the slow ones, a ramp between.
    fn keeps(&self, spec: &RopeSpec, pair: usize) -> f64 {
        let start = self.pair_of(spec, self.beta_fast).floor().max(0.0);
        let end = self.pair_of(spec, self.beta_slow).ceil().min(spec.dimensions as f64 - 1.0);
        let along = (pair as f64 - start) / (end - start).max(0.001);
        1.0 - along.clamp(0.0, 1.0)
    }

    /// The pair that turns so many times inside the original context.
    fn pair_of(&self, spec: &RopeSpec, turns: f32) -> f64 {
        let tokens_a_radian = self.original_context as f64 / (f64::from(turns) * 2.0 * PI);
        spec.dimensions as f64 * tokens_a_radian.ln() / (2.0 * f64::from(spec.base).ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: RopeSpec = RopeSpec {
        base: 10_000.0,
        dimensions: 4,
        pairing: Pairing::Neighbours,
        scale: 1.0,
        yarn: None,
        magnitude: 1.0,
    };

    fn turned<const N: usize>(rope: &Rope, position: usize, mut head: [f32; N]) -> [f32; N] {
        let mut row = vec![0.0; rope.row_len()];
        rope.fill(position, &mut row);
        rope.turn(&mut head, &row);
        head
    }

    fn assert_near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
    }

    #[test]
    fn a_pair_turns_by_its_angle_and_keeps_its_length() {
        let head = turned(&Rope::new(&SPEC, None), 3, [1.0, 0.0, 0.0, 2.0]);
        let expected = [3_f32.cos(), 3_f32.sin(), -2.0 * 0.03_f32.sin(), 2.0 * 0.03_f32.cos()];
        assert_near(&head, &expected);
    }

    #[test]
    fn halves_pair_numbers_that_are_apart() {
        let rope = Rope::new(&RopeSpec { pairing: Pairing::Halves, ..SPEC }, None);
        let head = turned(&rope, 3, [1.0, 0.0, 0.0, 2.0, 7.0]);
        let expected = [3_f32.cos(), -2.0 * 0.03_f32.sin(), 3_f32.sin(), 2.0 * 0.03_f32.cos(), 7.0];
        assert_near(&head, &expected);
    }

    #[test]
    fn factors_and_scale_slow_the_turn() {
        let rope = Rope::new(&RopeSpec { scale: 2.0, ..SPEC }, Some(&[1.0, 8.0]));
        let head = turned(&rope, 4, [1.0, 0.0, 1.0, 0.0]);
        assert_near(&head, &[2_f32.cos(), 2_f32.sin(), 0.0025_f32.cos(), 0.0025_f32.sin()]);
    }

    #[test]
    fn yarn_slows_only_the_slow_pairs() {
        let yarn = Yarn { original_context: 4096, beta_fast: 32.0, beta_slow: 1.0 };
        let spec = RopeSpec { dimensions: 128, scale: 4.0, yarn: Some(yarn), ..SPEC };
        let (plain, scaled) =
            (Rope::new(&RopeSpec { yarn: None, scale: 1.0, ..spec }, None), Rope::new(&spec, None));
        let ratio = |pair: usize| plain.frequencies[pair] / scaled.frequencies[pair];
        assert!((ratio(0) - 1.0).abs() < 1e-9 && (ratio(63) - 4.0).abs() < 1e-9);
        assert!(ratio(32) > 1.0 && ratio(32) < 4.0, "{}", ratio(32));
    }

    #[test]
    fn magnitude_stretches_what_turns() {
        let rope = Rope::new(&RopeSpec { magnitude: 3.0, dimensions: 2, ..SPEC }, None);
        assert_near(&turned(&rope, 0, [1.0, 2.0, 5.0, 6.0]), &[3.0, 6.0, 5.0, 6.0]);
    }
}
