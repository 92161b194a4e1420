//! The exponential function in plain multiplications and additions: the same bits on every platform, and simple
//! enough for the compiler to run over whole rows in vector registers.

use std::f32::consts::LOG2_E;

/// `ln 2` in two parts; multiples of the first are exact (Cody and Waite).
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Below this the result is 0, above the other it is infinite.
const LOWEST: f32 = -87.3;
const HIGHEST: f32 = 88.7;
/// Adding and subtracting 1.5 * 2^23 rounds to an integer.
const ROUNDER: f32 = 12_582_912.0;

/// `e` to the power `x`, within 2 units in the last place; 0 below -87.3, infinity above 88.7, NaN for NaN.
#[inline]
pub fn exp(x: f32) -> f32 {
    let clamped = x.clamp(LOWEST, HIGHEST);
    let shifted = clamped * LOG2_E + ROUNDER;
    let power = shifted - ROUNDER;
    let rest = (clamped - power * LN_2_HIGH) - power * LN_2_LOW;
    let series = 1.987_569_2e-4_f32;
    let series = series * rest + 1.398_199_9e-3;
    let series = series * rest + 8.333_452e-3;
    let series = series * rest + 4.166_579_6e-2;
    let series = series * rest + 1.666_666_5e-1;
    let series = series * rest + 0.5;
    let value = series * rest * rest + rest + 1.0;
    // Half of the power at a time: 2^128 is not a number of this width.
    let half = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    let first = half >> 1;
    let scaled = value * power_of_two(first) * power_of_two(half - first);
    if x < LOWEST {
        0.0
    } else if x > HIGHEST {
        f32::INFINITY
    } else {
        scaled
    }
}

/// `2` to the power `n`, for -126 <= n <= 127.
#[inline]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_exact_function() {
        for step in -87_300_i32..=88_700 {
            let x = step as f32 / 1000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.5e-7, "exp({x}): relative error {error:e}");
        }
    }

    #[test]
    fn ends_are_plain() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }
}
