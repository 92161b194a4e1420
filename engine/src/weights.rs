//! The weights of a model, by name: one trait over where they live, memory-mapped file first.
//!
//! Bytes become [`Matrix`] views and `f32` vectors here, each checked once against the shape that the model wants.
mod mapped;
mod matrix;
mod packed;
mod source;

pub use mapped::{MappedModel, OpenError};
pub use matrix::{Matrix, MatrixError};
pub use packed::{PackedIn, PackedModel, PackedState};
pub use source::{WeightError, Weights};
