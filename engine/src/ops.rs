//! The operations of a transformer over whole activations. They know sizes, never the names of tensors.

pub mod attention;
pub mod heads;
pub mod layer_norm;
pub mod matmul;
pub mod product;
pub mod rms_norm;
pub mod rope;
pub mod rows;
pub mod soft_cap;
