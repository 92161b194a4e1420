//! Constrained decoding below the HTTP surface: what a constraint lets through is valid, whatever the model; what is hostile
//! is refused soon; the scheduler gives the same text however it computes it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

#[path = "structured_output/hostile.rs"]
mod hostile;
#[path = "structured_output/scheduling.rs"]
mod scheduling;
#[path = "structured_output/schemas.rs"]
mod schemas;
#[path = "structured_output/support.rs"]
mod support;
#[path = "../../engine/tests/support/tiny_model.rs"]
mod tiny_model;
#[path = "structured_output/vocabularies.rs"]
mod vocabularies;
