//! The HTTP surface over a real socket, with the real model.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

#[path = "api_server/answers.rs"]
mod answers;
#[path = "api_server/echo.rs"]
mod echo;
#[path = "api_server/embeddings.rs"]
mod embeddings;
#[path = "api_server/errors.rs"]
mod errors;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "../../engine/tests/support/families.rs"]
mod families;
#[path = "api_server/leftover.rs"]
mod leftover;
#[path = "api_server/lifecycle.rs"]
mod lifecycle;
#[path = "api_server/limits.rs"]
mod limits;
#[path = "api_server/load.rs"]
mod load;
#[path = "api_server/page.rs"]
mod page;
#[path = "api_server/responses.rs"]
mod responses;
#[path = "api_server/structured.rs"]
mod structured;
#[path = "api_server/support.rs"]
mod support;
#[path = "api_server/tenants.rs"]
mod tenants;
#[path = "api_server/tiny.rs"]
mod tiny;
#[path = "../../engine/tests/support/tiny_model.rs"]
mod tiny_model;
#[path = "api_server/tokenize.rs"]
mod tokenize;
#[path = "api_server/tools.rs"]
mod tools;
