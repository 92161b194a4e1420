//! Pins: which digest a Hugging Face file without a known digest had when it was first downloaded.
//!
//! They let a later start find the file without the network, and make sure that a moved branch does not silently
//! change the model. A pin never replaces a digest that the user gave.

use std::{fs, io, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::{Store, StoreError, StoredFile, create_folder, sync_folder};
use crate::digest::{Digest, DigestError};

/// The largest record that is read, in bytes.
const MAX_RECORD_BYTES: u64 = 16 * 1024;

/// One record of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// `owner/name`.
    pub repo: String,
    /// Commit, branch or tag as it was asked for.
    pub revision: String,
    /// Path in the repository.
    pub file: String,
    /// SHA-256 of the content at that time.
    pub digest: String,
}

impl Store {
    /// The pinned digest of `file` at `revision` of `repo`, if there is one.
    pub fn pinned(
        &self,
        repo: &str,
        revision: &str,
        file: &str,
    ) -> Result<Option<Digest>, StoreError> {
        let path = self.pin_path(repo, revision, file);
        let damaged = |reason: String| StoreError::Record { path: path.clone(), reason };
        match fs::metadata(&path) {
            Ok(meta) if meta.len() > MAX_RECORD_BYTES => {
                return Err(damaged(format!("{} bytes long", meta.len())));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        }
        let text = fs::read(&path).map_err(|error| StoreError::io("read", &path, error))?;
        let pin: Pin = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if (pin.repo.as_str(), pin.revision.as_str(), pin.file.as_str()) != (repo, revision, file) {
            return Err(damaged(format!("it is about {}@{}", pin.repo, pin.revision)));
        }
        pin.digest.parse().map(Some).map_err(|error: DigestError| damaged(error.to_string()))
    }

    /// Records `pin`; it must be about a file that is in the store.
    pub fn pin(&self, pin: &Pin, file: &StoredFile) -> Result<(), StoreError> {
        let path = self.pin_path(&pin.repo, &pin.revision, &pin.file);
        let folder = self.index_folder();
        create_folder(&folder)?;
        let text =
            serde_json::to_vec_pretty(&Pin { digest: file.digest.to_string(), ..pin.clone() })
                .map_err(|error| StoreError::io("write", &path, error.into()))?;
        let part = path.with_extension("part");
        fs::write(&part, text).map_err(|error| StoreError::io("write", &part, error))?;
        fs::rename(&part, &path).map_err(|error| StoreError::io("write", &path, error))?;
        sync_folder(&folder)
    }

    fn index_folder(&self) -> PathBuf {
        self.root().join("index").join("huggingface")
    }

    fn pin_path(&self, repo: &str, revision: &str, file: &str) -> PathBuf {
        let key = Digest::of(format!("{repo}\n{revision}\n{file}").as_bytes());
        self.index_folder().join(format!("{key}.json"))
    }
}
