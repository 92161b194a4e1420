//! A real server with two tenants, and clients that look at the clock: for measurements of one tenant beside another.

pub(crate) mod client;
pub(crate) mod server;
