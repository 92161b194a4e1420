//! The sandbox through its public door: guests from text, admitted, loaded and run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_collect,
    clippy::type_complexity,
    reason = "a test fails by panicking, and so do its helpers; texts of guests are not large"
)]

mod abuse;
mod admission;
mod agent;
mod breaker;
mod filter;
#[allow(dead_code, reason = "the server's tests use more of it")]
mod guests;
mod hooks;
mod hostile;
mod native;
mod support;
