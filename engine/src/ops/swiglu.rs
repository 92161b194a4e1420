//! The gated activation of the feed-forward network (Shazeer 2020).

use crate::kernels::exp::exp;

/// `gate = silu(gate) * up`, number by number; `silu(x) = x / (1 + e^-x)`.
pub fn swiglu(gate: &mut [f32], up: &[f32]) {
    for (gate, &up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_definition() {
        let inputs = [-100.0_f32, -3.0, -0.5, 0.0, 0.5, 3.0, 100.0];
        let mut gate = inputs;
        swiglu(&mut gate, &[2.0; 7]);
        for (x, y) in inputs.into_iter().zip(gate) {
            let expected = 2.0 * f64::from(x) / (1.0 + f64::from(-x).exp());
            assert!((f64::from(y) - expected).abs() < 1e-5, "{x}: {y}");
        }
    }
}
