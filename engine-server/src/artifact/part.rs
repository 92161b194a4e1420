//! A file that is still growing: its bytes, the running digest over all of them, and a note beside it that says which
//! version of which source it came from, so that a later process resumes the same file and no other.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncSeekExt, AsyncWriteExt, BufWriter},
};

use super::error::FetchError;
use crate::{
    digest::{Digest, hash_into},
    store::{StoreError, create_folder, sync_folder},
};

const WRITE_BUFFER_BYTES: usize = 1024 * 1024;
/// The largest note that is read, in bytes.
const MAX_ORIGIN_BYTES: u64 = 16 * 1024;

/// Which version of which source the bytes of a part came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    /// The source as the user named it.
    pub source: String,
    /// The server's entity tag, if it gave one.
    pub etag: Option<String>,
    /// The whole file's length, if the server said so.
    pub bytes: Option<u64>,
}

/// A growing file.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Sha256,
    len: u64,
    origin: Option<Origin>,
}

impl Part {
    /// Opens or creates the part at `path`; what is there already is hashed.
    pub(super) async fn open(path: &Path) -> Result<Self, FetchError> {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .await
            .map_err(|error| StoreError::io("open", path, error))?;
        let task_path = path.to_owned();
        let (hasher, len) = tokio::task::spawn_blocking(move || hash_existing(&task_path))
            .await
            .map_err(FetchError::task)??;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(WRITE_BUFFER_BYTES, file),
            hasher,
            len,
            origin: read_origin(path),
        })
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Where the bytes came from, as far as that is known.
    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Throws all bytes away.
    pub(super) async fn restart(&mut self) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("truncate", &self.path, error);
        self.file.flush().await.map_err(failed)?;
        self.file.get_mut().set_len(0).await.map_err(failed)?;
        self.file.seek(std::io::SeekFrom::Start(0)).await.map_err(failed)?;
        self.hasher = Sha256::new();
        self.len = 0;
        self.origin = None;
        Ok(())
    }

    /// Notes where the bytes come from, before the first of them is written.
    pub(super) fn set_origin(&mut self, origin: Origin) -> Result<(), StoreError> {
        if self.origin.as_ref() == Some(&origin) {
            return Ok(());
        }
        let path = origin_path(&self.path);
        let text = serde_json::to_vec(&origin)
            .map_err(|error| StoreError::io("write", &path, error.into()))?;
        fs::write(&path, text).map_err(|error| StoreError::io("write", &path, error))?;
        self.origin = Some(origin);
        Ok(())
    }

    /// Adds bytes.
    pub(super) async fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(bytes)
            .await
            .map_err(|error| StoreError::io("write", &self.path, error))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Brings everything that was added to the file, so that a later process can resume behind it.
    pub(super) async fn flush(&mut self) -> Result<(), StoreError> {
        self.file.flush().await.map_err(|error| StoreError::io("write", &self.path, error))
    }

    /// Makes the bytes durable and returns their digest.
    pub(super) async fn finish(mut self) -> Result<Digest, StoreError> {
        self.flush().await?;
        let failed = |error| StoreError::io("write", &self.path, error);
        self.file.get_ref().sync_all().await.map_err(failed)?;
        if let Some(folder) = self.path.parent() {
            sync_folder(folder)?;
        }
        Ok(Digest::finish(self.hasher))
    }
}

/// Removes a part and its note.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    remove_if_there(path)?;
    forget_origin(path)
}

/// Removes the note beside a part.
pub(super) fn forget_origin(path: &Path) -> Result<(), StoreError> {
    remove_if_there(&origin_path(path))
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StoreError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

fn hash_existing(path: &Path) -> Result<(Sha256, u64), StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut hasher = Sha256::new();
    let mut file = fs::File::open(path).map_err(failed)?;
    let len = hash_into(&mut hasher, &mut file).map_err(failed)?;
    Ok((hasher, len))
}

/// A note that is missing or does not read counts as none: the download then starts again.
fn read_origin(path: &Path) -> Option<Origin> {
    let path = origin_path(path);
    if fs::metadata(&path).ok()?.len() > MAX_ORIGIN_BYTES {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn origin_path(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push(".origin.json");
    PathBuf::from(name)
}
