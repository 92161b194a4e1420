//! Dot products and scaled additions of vectors, as attention needs them.
use half::f16;

use super::isa::{Isa, LANES};

/// Steps that a dot product keeps apart, so that additions do not wait for each other.
const CHAINS: usize = 4;

/// An element that becomes an `f32`.
pub(super) trait Element: Copy {
    fn load<I: Isa>(isa: I, values: &[Self; LANES]) -> I::Floats;
    fn widen<I: Isa>(self, isa: I) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    fn load<I: Isa>(isa: I, values: &[Self; LANES]) -> I::Floats {
        isa.load(values)
    }
    #[inline(always)]
    fn widen<I: Isa>(self, _: I) -> f32 {
        self
    }
}

impl Element for f16 {
    #[inline(always)]
    fn load<I: Isa>(isa: I, values: &[Self; LANES]) -> I::Floats {
        let mut bits = [0; 2 * LANES];
        for (bits, value) in bits.as_chunks_mut().0.iter_mut().zip(values) {
            *bits = value.to_le_bytes();
        }
        isa.load_f16(&bits)
    }
    #[inline(always)]
    fn widen<I: Isa>(self, isa: I) -> f32 {
        isa.half(self.to_le_bytes())
    }
}

/// Sum of products over the shorter length.
#[inline(always)]
pub(super) fn dot<I: Isa, T: Element>(isa: I, a: &[T], b: &[f32]) -> f32 {
    let len = a.len().min(b.len());
    let (a, a_tail) = a[..len].as_chunks::<LANES>();
    let (b, b_tail) = b[..len].as_chunks::<LANES>();
    let mut chains = [isa.splat(0.0); CHAINS];
    let (a_fours, a_rest) = a.as_chunks::<CHAINS>();
    let (b_fours, b_rest) = b.as_chunks::<CHAINS>();
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..CHAINS {
            chains[i] = isa.fused(T::load(isa, &a[i]), isa.load(&b[i]), chains[i]);
        }
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        chains[0] = isa.fused(T::load(isa, a), isa.load(b), chains[0]);
    }
    let one = isa.splat(1.0);
    let total =
        isa.fused(isa.fused(chains[0], one, chains[1]), one, isa.fused(chains[2], one, chains[3]));
    let tail =
        a_tail.iter().zip(b_tail).fold(0.0, |sum: f32, (a, b)| a.widen(isa).mul_add(*b, sum));
    isa.sum(total) + tail
}

/// `y += factor * x` over the shorter length.
#[inline(always)]
pub(super) fn axpy<I: Isa, T: Element>(isa: I, factor: f32, x: &[T], y: &mut [f32]) {
    let len = x.len().min(y.len());
    let (x, x_tail) = x[..len].as_chunks::<LANES>();
    let (y, y_tail) = y[..len].as_chunks_mut::<LANES>();
    let factors = isa.splat(factor);
    for (x, y) in x.iter().zip(y) {
        isa.store(isa.fused(factors, T::load(isa, x), isa.load(y)), y);
    }
    for (x, y) in x_tail.iter().zip(y_tail) {
        *y = factor.mul_add(x.widen(isa), *y);
    }
}
