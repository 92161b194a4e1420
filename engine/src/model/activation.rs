//! Which function a model has inside its feed-forward network.

use super::family::Activation;
use crate::kernels::{Kernels, Pointwise};

/// `gate = f(gate) * up`.
pub(super) fn gated(kernels: Kernels, activation: Activation, gate: &mut [f32], up: &[f32]) {
    match activation {
        Activation::Silu => kernels.pointwise(Pointwise::Swiglu(gate, up)),
        Activation::GeluTanh => kernels.pointwise(Pointwise::Geglu(gate, up)),
        Activation::PlainGelu => {
            kernels.pointwise(Pointwise::Gelu(gate));
            kernels.pointwise(Pointwise::Multiply(gate, up));
        }
    }
}
