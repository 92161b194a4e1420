//! Dot products of vectors of floats.
use super::isa::{Isa, LANES};

/// Steps that a dot product keeps apart, so that additions do not wait for each other.
const CHAINS: usize = 4;

/// Sum of products over the shorter length.
#[inline(always)]
pub(super) fn dot<I: Isa>(isa: I, a: &[f32], b: &[f32]) -> f32 {
    let len = a.len().min(b.len());
    let (a, a_tail) = a[..len].as_chunks::<LANES>();
    let (b, b_tail) = b[..len].as_chunks::<LANES>();
    let mut chains = [isa.splat(0.0); CHAINS];
    let (a_fours, a_rest) = a.as_chunks::<CHAINS>();
    let (b_fours, b_rest) = b.as_chunks::<CHAINS>();
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..CHAINS {
            chains[i] = isa.fused(isa.load(&a[i]), isa.load(&b[i]), chains[i]);
        }
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        chains[0] = isa.fused(isa.load(a), isa.load(b), chains[0]);
    }
    let one = isa.splat(1.0);
    let total =
        isa.fused(isa.fused(chains[0], one, chains[1]), one, isa.fused(chains[2], one, chains[3]));
    let tail = a_tail.iter().zip(b_tail).fold(0.0, |sum: f32, (a, b)| a.mul_add(*b, sum));
    isa.sum(total) + tail
}
