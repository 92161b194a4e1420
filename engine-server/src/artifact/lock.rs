//! One downloader per file: an exclusive lock on a small file, which the system releases when its holder dies.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    time::Duration,
};

use super::progress::Progress;
use crate::store::{StoreError, create_folder};

/// How often a waiting downloader asks again.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Holds the lock until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Waits until no other process or task holds the lock at `path`.
pub(super) async fn acquire(path: &Path, progress: &mut dyn Progress) -> Result<Lock, StoreError> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .map_err(|error| StoreError::io("open the lock", path, error))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path, error)),
        }
        if !told {
            progress.note("another process is downloading this file; waiting for it");
            told = true;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
