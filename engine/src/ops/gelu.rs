//! Gaussian error linear units (Hendrycks and Gimpel 2016).

use std::f32::consts::FRAC_1_SQRT_2;

use crate::kernels::exp::exp;

/// `2 * sqrt(2 / pi)`, and the weight of the cube.
const TWICE_ROOT: f32 = 1.595_769;
const CUBE: f32 = 0.044_715;

/// `gate = gelu(gate) * up`, number by number, with gelu's approximation by a hyperbolic tangent, as Gemma was trained.
/// `(1 + tanh(x)) / 2` is the logistic function of `2x`.
pub fn geglu(gate: &mut [f32], up: &[f32]) {
    for (gate, &up) in gate.iter_mut().zip(up) {
        let x = *gate;
        let inner = TWICE_ROOT * (x + CUBE * x * x * x);
        *gate = x / (1.0 + exp(-inner)) * up;
    }
}

/// `x * P(X <= x)` for a standard normal X, number by number.
pub fn gelu(numbers: &mut [f32]) {
    for number in numbers {
        *number *= 0.5 * (1.0 + error_function(*number * FRAC_1_SQRT_2));
    }
}

/// Within 1.5e-7 (Abramowitz and Stegun 7.1.26).
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
    fn gelu_is_the_number_times_the_chance_to_be_below_it() {
        for step in -60..=60 {
            let x = step as f32 / 10.0;
            let mut number = [x];
            gelu(&mut number);
            let expected = f64::from(x) * normal_below(f64::from(x));
            assert!((f64::from(number[0]) - expected).abs() < 2e-6, "{x}: {}", number[0]);
        }
    }

    #[test]
    fn the_gated_form_follows_its_definition() {
        for step in -100..=100 {
            let x = step as f32 / 10.0;
            let mut gate = [x];
            geglu(&mut gate, &[3.0]);
            let wide = f64::from(x);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
            let expected = 1.5 * wide * (1.0 + inner.tanh());
            assert!((f64::from(gate[0]) - expected).abs() < 1e-5, "{x}: {}", gate[0]);
        }
    }
}
