//! Which function a model has inside its feed-forward network.

use super::family::Activation;
use crate::ops::{
    gelu::{geglu, gelu},
    swiglu::swiglu,
};

/// `gate = f(gate) * up`.
pub(super) fn gated(activation: Activation, gate: &mut [f32], up: &[f32]) {
    match activation {
        Activation::Silu => swiglu(gate, up),
        Activation::GeluTanh => geglu(gate, up),
        Activation::PlainGelu => {
            gelu(gate);
            gate.iter_mut().zip(up).for_each(|(gate, &up)| *gate *= up);
        }
    }
}
