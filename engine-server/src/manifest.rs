//! Manifests on a laptop: the same RealmModel, RealmTenant and Secret files that a cluster reads.
//!
//! `files` reads, `document` finds documents and their lines, `node` keeps a line for every field, `decode` gives
//! typed resources or names each field at fault, `resolve` turns them into what the server runs. Nothing here serves
//! or downloads.

mod api_keys;
mod decode;
mod document;
mod fault;
mod files;
mod node;
mod resolve;
mod resources;
mod suggest;

pub use api_keys::{GeneratedKey, KeyFolder};
pub use fault::{Fault, ManifestError};
pub use files::{MAX_FILES, Text, files_of, read_all};
pub use resolve::{Served, resolve};
pub use resources::{Located, Manifests, Place, Secret, parse};
