//! The model store: a folder in which every file is whole, verified, and found by the digest of its content.
//!
//! `folder` knows where files lie, `index` which digest a moving name was pinned to, `listing` what the models are
//! called. None of them downloads anything.

mod folder;
mod index;
mod listing;

pub use folder::{
    PART_SUFFIX, STORE_ENV, Store, StoreError, StoredFile, create_folder, sync_folder,
};
pub use index::Pin;
pub use listing::{LookupError, StoredModel};
