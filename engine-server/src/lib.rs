//! The `realm` binary's library: the server, model files, manifests and the command line.
#![forbid(unsafe_code)]

pub mod admission;
pub mod agent;
pub mod api;
pub mod artifact;
pub mod cli;
pub mod config;
pub mod constraint;
pub mod digest;
pub mod health;
pub mod manifest;
pub mod metrics;
pub mod program;
pub mod scheduler;
pub mod server;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod tenant;
pub mod threads;
