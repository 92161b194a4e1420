//! `validate` of both kinds: the rules of their schemas once more, for a laptop without an API server.

mod realm_model;
mod realm_tenant;
