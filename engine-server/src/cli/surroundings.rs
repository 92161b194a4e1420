//! What a command takes from its surroundings: the store, the options of downloads. Read once per command.

use std::{env, path::PathBuf};

use clap::Args;
use realm_engine::engine::PackedIn;

use crate::{
    artifact::{FetchOptions, Fetcher, Wanted},
    store::{STORE_ENV, Store, StoredFile},
};

use super::progress;

/// Options of every command that touches the model store.
#[derive(Debug, Clone, Args)]
pub(super) struct StoreArgs {
    /// Folder of the model store [default: the platform's cache folder, on Linux ~/.cache/realm/models]
    #[arg(long, value_name = "DIR", env = STORE_ENV)]
    pub store: Option<PathBuf>,
}

impl StoreArgs {
    /// Where packed weights are kept: in the store, or in memory when there is none.
    pub(super) fn packed(&self) -> PackedIn {
        self.open().map_or_else(|_| PackedIn::default(), |store| PackedIn::Folder(store.packed()))
    }

    /// The store that is meant.
    pub(super) fn open(&self) -> anyhow::Result<Store> {
        Ok(Store::at_or_default(self.store.clone().filter(|path| !path.as_os_str().is_empty()))?)
    }
}

/// Fetches a file with the environment's options and progress on standard error.
pub(super) async fn fetch(
    store: &Store,
    wanted: &Wanted,
    quiet: bool,
) -> anyhow::Result<StoredFile> {
    let options = FetchOptions::from_environment(|name| env::var(name).ok())?;
    let mut progress = progress::for_stderr(quiet);
    Ok(Fetcher::new(options)?.fetch(store, wanted, progress.as_mut()).await?)
}
