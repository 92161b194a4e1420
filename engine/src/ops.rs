//! Operations on whole activations.

pub mod exp;
pub mod matmul;
