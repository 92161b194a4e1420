//! Least-squares fits of the K quantizers: the scale (and minimum) of one group, and the whole scales of a block.
//!
//! Our own search: it tries a few ways to round the group to codes and solves for the best scale of each.
use half::f16;

/// Ways to round that are tried, in steps of [`STEP`] codes around the plain one.
const CANDIDATES: std::ops::RangeInclusive<i32> = -8..=8;
const STEP: f32 = 0.1;

/// A group as `scale * code - min`, with `min` not negative and codes from 0.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Affine {
    pub(super) scale: f32,
    pub(super) min: f32,
}

/// The best scale and minimum for codes `0..=top`.
pub(super) fn affine(values: &[f32], top: u8) -> Affine {
    let low = values.iter().copied().fold(0.0, f32::min);
    let high = values.iter().copied().fold(low, f32::max);
    let range = high - low;
    if range <= 0.0 {
        return Affine::default();
    }
    let plain = Affine { scale: range / f32::from(top), min: -low };
    let candidates = CANDIDATES.map(|step| {
        let inverse = (f32::from(top) + STEP * step as f32) / range;
        solve(values, |value| ((value - low) * inverse).round().clamp(0.0, f32::from(top)))
    });
    best(plain, candidates, |fit| {
        let inverse = inverse(fit.scale);
        let code = |value: f32| ((value + fit.min) * inverse).round().clamp(0.0, f32::from(top));
        values.iter().map(|value| square(fit.scale * code(*value) - fit.min - value)).sum()
    })
}

/// Linear regression of the values on their codes, with a minimum that is not negative.
fn solve(values: &[f32], code: impl Fn(f32) -> f32) -> Affine {
    let count = values.len() as f32;
    let (mut codes, mut squares, mut sum, mut products) = (0.0, 0.0, 0.0, 0.0);
    for value in values {
        let code = code(*value);
        codes += code;
        squares += code * code;
        sum += value;
        products += code * value;
    }
    let determinant = count * squares - codes * codes;
    if determinant > 0.0 {
        let scale = (count * products - codes * sum) / determinant;
        let min = (codes * scale - sum) / count;
        if min >= 0.0 && scale > 0.0 {
            return Affine { scale, min };
        }
    }
    let scale = if squares > 0.0 { (products / squares).max(0.0) } else { 0.0 };
    Affine { scale, min: 0.0 }
}

/// The best scale for codes `-half..half`; its sign is chosen so that the largest value can take code `-half`.
pub(super) fn symmetric(values: &[f32], half: u8) -> f32 {
    let peak = signed_peak(values);
    if peak == 0.0 {
        return 0.0;
    }
    let half = f32::from(half);
    let round = |value: f32, inverse: f32| (value * inverse).round().clamp(-half, half - 1.0);
    let candidates = CANDIDATES.map(|step| {
        let inverse = -(half + STEP * step as f32) / peak;
        let (mut squares, mut products) = (0.0, 0.0);
        for value in values {
            let code = round(*value, inverse);
            squares += code * code;
            products += code * value;
        }
        if squares > 0.0 { products / squares } else { 0.0 }
    });
    best(peak / -half, candidates, |scale| {
        values.iter().map(|value| square(scale * round(*value, inverse(*scale)) - value)).sum()
    })
}

/// The candidate of smallest error; NaN errors (values near the end of `f32`) never win.
fn best<T>(plain: T, candidates: impl Iterator<Item = T>, error: impl Fn(&T) -> f32) -> T {
    let mut best = (error(&plain), plain);
    for candidate in candidates {
        let error = error(&candidate);
        if error < best.0 {
            best = (error, candidate);
        }
    }
    best.1
}

/// The value of largest magnitude, with its sign.
pub(super) fn signed_peak(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |peak: f32, value| if value.abs() > peak.abs() { *value } else { peak })
}

/// `1 / scale`, and 0 for a scale whose inverse does not exist.
pub(super) fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// What the decoder will read for this scale.
pub(super) fn as_half(scale: f32) -> f32 {
    f16::from_f32(scale).to_f32()
}

/// The code `low..=high` whose multiple of `scale` is next to `value`.
pub(super) fn code(value: f32, scale: f32, low: i8, high: i8) -> i8 {
    (value * inverse(scale)).round().clamp(f32::from(low), f32::from(high)) as i8
}

fn square(value: f32) -> f32 {
    value * value
}
