//! The chores of the repository, one verb a file; `main.rs` only parses.
#![forbid(unsafe_code)]

pub mod bench;
pub mod cluster;
pub mod codegen;
pub mod cross;
pub mod demo;
mod demo_model;
pub mod guests;
pub mod image;
pub mod paths;
mod program;
mod reference;
pub mod sdk;
mod shell;
pub mod test;
pub mod tidy;
