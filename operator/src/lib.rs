//! The operator: reconciles RealmModel and RealmTenant into engine-server pods.
//!
//! `model` and `tenant` hold the two reconciles, each in five steps; `caches` watches, `apply` writes children,
//! `publish` writes statuses, `health` asks pods. Everything between reading and writing is pure.
#![forbid(unsafe_code)]

pub mod admin;
pub mod api_error;
pub mod apply;
pub mod args;
pub mod backoff;
pub mod caches;
pub mod capabilities;
pub mod client;
pub mod context;
pub mod controller;
pub mod discover;
pub mod drift;
pub mod health;
pub mod leader;
pub mod metrics;
pub mod model;
pub mod programmed;
pub mod publish;
pub mod resources;
pub mod settings;
pub mod telemetry;
pub mod tenant;
