//! Tenants' programs: WebAssembly components that run beside the model, each request in a fresh instance under limits.
//! The crate knows no engine, server or cluster; what guests reach are traits that its user implements. It is a crate of
//! its own because a compiler stands behind it, which nothing else of the server needs, and because its boundary is a
//! wall: only `admission/load.rs` holds `unsafe`.
#![deny(unsafe_code)]

pub mod admission;
pub mod answer;
pub mod breach;
pub mod breaker;
pub mod budget;
mod capabilities;
pub mod counters;
pub mod engine;
pub mod filter;
pub mod grants;
mod guest;
pub mod host;
pub mod limits;
pub mod memory_store;
pub mod native;
pub mod plan;
pub mod program;
mod random;
pub mod run;
mod shared_run;
mod state;
mod ticker;
pub mod wire;

pub use admission::{Admission, Admitted, Cache, Compiler, CompilerLimits};
pub use breach::{Breach, BreachKind, FailurePolicy, Hook};
pub use engine::Engine;
pub use grants::{Capability, Grants};
pub use host::Host;
pub use limits::Limits;
pub use program::{LoadError, Policies, Program, Terms};
pub use run::Run;
pub use shared_run::SharedRun;
