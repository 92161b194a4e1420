//! The HTTP surface over a real socket, with the real model.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

#[path = "api_server/answers.rs"]
mod answers;
#[path = "api_server/errors.rs"]
mod errors;
#[path = "api_server/leftover.rs"]
mod leftover;
#[path = "api_server/lifecycle.rs"]
mod lifecycle;
#[path = "api_server/limits.rs"]
mod limits;
#[path = "api_server/load.rs"]
mod load;
#[path = "api_server/structured.rs"]
mod structured;
#[path = "api_server/support.rs"]
mod support;
#[path = "api_server/tenants.rs"]
mod tenants;
#[path = "../../engine/tests/support/tiny_model.rs"]
mod tiny_model;
#[path = "api_server/tools.rs"]
mod tools;
