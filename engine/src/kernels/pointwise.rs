//! Functions that treat each number of a row for itself: the activations of feed-forward networks, and sums.
//!
//! Plain loops. Every instruction set compiles them for itself, and since none joins a product with a sum, all give the
//! same bits.

use std::f32::consts::FRAC_1_SQRT_2;

use super::exp::exp;

/// `2 * sqrt(2 / pi)`, and the weight of the cube.
const TWICE_ROOT: f32 = 1.595_769;
const CUBE: f32 = 0.044_715;

/// One pass over a row; the shorter of two rows counts.
#[derive(Debug)]
pub enum Pointwise<'a> {
    /// `gate = silu(gate) * up` with `silu(x) = x / (1 + e^-x)` (Shazeer 2020).
    Swiglu(&'a mut [f32], &'a [f32]),
    /// `gate = gelu(gate) * up` with gelu's approximation by a hyperbolic tangent (Hendrycks and Gimpel 2016), as Gemma
    /// was trained. `(1 + tanh(x)) / 2` is the logistic function of `2x`.
    Geglu(&'a mut [f32], &'a [f32]),
    /// `x = x * P(X <= x)` for a standard normal X.
    Gelu(&'a mut [f32]),
    /// `sum += addend`.
    Add(&'a mut [f32], &'a [f32]),
    /// `product *= factor`.
    Multiply(&'a mut [f32], &'a [f32]),
    /// `output = input * scale * weight`, from left to right.
    Scale {
        /// What is written.
        output: &'a mut [f32],
        /// What is read.
        input: &'a [f32],
        /// One factor for all.
        scale: f32,
        /// A factor for each.
        weight: &'a [f32],
    },
}

#[inline(always)]
pub(super) fn compute(work: Pointwise<'_>) {
    match work {
        Pointwise::Swiglu(gate, up) => each(gate, up, |gate, up| gate / (1.0 + exp(-gate)) * up),
        Pointwise::Geglu(gate, up) => each(gate, up, |gate, up| {
            let inner = TWICE_ROOT * (gate + CUBE * gate * gate * gate);
            gate / (1.0 + exp(-inner)) * up
        }),
        Pointwise::Gelu(numbers) => {
            for number in numbers {
                *number *= 0.5 * (1.0 + error_function(*number * FRAC_1_SQRT_2));
            }
        }
        Pointwise::Add(sum, addend) => each(sum, addend, |sum, addend| sum + addend),
        Pointwise::Multiply(product, factor) => {
            each(product, factor, |product, factor| product * factor);
        }
        Pointwise::Scale { output, input, scale, weight } => {
            for ((output, &input), &weight) in output.iter_mut().zip(input).zip(weight) {
                *output = input * scale * weight;
            }
        }
    }
}

#[inline(always)]
fn each(numbers: &mut [f32], others: &[f32], function: impl Fn(f32, f32) -> f32) {
    for (number, &other) in numbers.iter_mut().zip(others) {
        *number = function(*number, other);
    }
}

/// Within 1.5e-7 (Abramowitz and Stegun 7.1.26).
#[inline(always)]
fn error_function(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series = 1.061_405_4_f32;
    let series = series * t - 1.453_152;
    let series = series * t + 1.421_413_8;
    let series = series * t - 0.284_496_74;
    let series = series * t + 0.254_829_6;
    (1.0 - series * t * exp(-x * x)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The integral of the normal density, by Simpson's rule.
    fn normal_below(x: f64) -> f64 {
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let steps = 2000;
        let width = x / f64::from(steps);
        let weight = |i: i32| if i == 0 || i == steps { 1.0 } else { f64::from(2 + i % 2 * 2) };
        let sum: f64 = (0..=steps).map(|i| weight(i) * density(f64::from(i) * width)).sum();
        0.5 + sum * width / 3.0
    }

    #[test]
    fn swiglu_follows_the_definition() {
        let inputs = [-100.0_f32, -3.0, -0.5, 0.0, 0.5, 3.0, 100.0];
        let mut gate = inputs;
        compute(Pointwise::Swiglu(&mut gate, &[2.0; 7]));
        for (x, y) in inputs.into_iter().zip(gate) {
            let expected = 2.0 * f64::from(x) / (1.0 + f64::from(-x).exp());
            assert!((f64::from(y) - expected).abs() < 1e-5, "{x}: {y}");
        }
    }

    #[test]
    fn gelu_is_the_number_times_the_chance_to_be_below_it() {
        for step in -60..=60 {
            let x = step as f32 / 10.0;
            let mut number = [x];
            compute(Pointwise::Gelu(&mut number));
            let expected = f64::from(x) * normal_below(f64::from(x));
            assert!((f64::from(number[0]) - expected).abs() < 2e-6, "{x}: {}", number[0]);
        }
    }

    #[test]
    fn geglu_follows_its_definition() {
        for step in -100..=100 {
            let x = step as f32 / 10.0;
            let mut gate = [x];
            compute(Pointwise::Geglu(&mut gate, &[3.0]));
            let wide = f64::from(x);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
            let expected = 1.5 * wide * (1.0 + inner.tanh());
            assert!((f64::from(gate[0]) - expected).abs() < 1e-5, "{x}: {}", gate[0]);
        }
    }
}
