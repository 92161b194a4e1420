//! The store's folder: where each file lies, and how one gets its final name.
//!
//! Layout: `sha256/<digest>/<file name>` (finished files), the same name with `.part` beside it while it is being
//! downloaded, `partial/<key>/` for downloads whose digest is not known yet, `locks/` and `index/`;
//! `packed/` holds weights in the form that they are computed in.
//! It must not download anything, and never gives a file its final name unless the caller has verified it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::digest::{Digest, DigestError};

/// Suffix of a file that is not whole yet.
pub const PART_SUFFIX: &str = ".part";
/// Environment variable that names the store's folder.
pub const STORE_ENV: &str = "REALM_STORE";

/// The folder that holds the models.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A whole, verified file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Where it lies.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What went wrong on the disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder could not be used.
    #[error("cannot {action} {path}: {source}{advice}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What to do about it; empty or beginning with `; `.
        advice: &'static str,
    },
    /// The platform has no cache folder and none was given.
    #[error("no folder for models is known: give --store DIR or set {STORE_ENV}")]
    NoDefault,
    /// A record in the store does not read.
    #[error("the record {path} in the model store is damaged ({reason}): delete it")]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    /// Wraps `source` with what was tried, where, and advice that fits the cause.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "; free space on this disk or choose another folder with --store"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "; make the folder writable or choose another one with --store"
            }
            _ => "",
        };
        Self::Io { action, path: path.to_owned(), source, advice }
    }

    /// Whether the disk is full.
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

impl Store {
    /// The store in `root`; nothing is created yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The store in `root` if given, else in the platform's cache folder.
    pub fn at_or_default(root: Option<PathBuf>) -> Result<Self, StoreError> {
        if let Some(root) = root {
            return Ok(Self::at(root));
        }
        let folders =
            directories::ProjectDirs::from("", "", "realm").ok_or(StoreError::NoDefault)?;
        Ok(Self::at(folders.cache_dir().join("models")))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where models lie in the form that they are computed in, which is made again when it is missing.
    pub fn packed(&self) -> PathBuf {
        self.root.join("packed")
    }

    /// Where a file with this digest and name belongs.
    pub fn final_path(&self, digest: &Digest, file_name: &str) -> PathBuf {
        self.digest_folder(digest).join(file_name)
    }

    /// Where a download grows: beside its final place, or under a key while the digest is unknown.
    pub fn part_path(&self, digest: Option<&Digest>, key: &Digest, file_name: &str) -> PathBuf {
        let folder = match digest {
            Some(digest) => self.digest_folder(digest),
            None => self.root.join("partial").join(key.as_str()),
        };
        folder.join(format!("{file_name}{PART_SUFFIX}"))
    }

    /// The lock that one downloader of `key` holds.
    pub fn lock_path(&self, key: &Digest) -> PathBuf {
        self.root.join("locks").join(format!("{key}.lock"))
    }

    /// The whole file with this digest, whatever its name.
    pub fn find(&self, digest: &Digest) -> Result<Option<StoredFile>, StoreError> {
        Ok(files_in(&self.digest_folder(digest), digest)?.into_iter().next())
    }

    /// Gives `part` its final name and makes that durable. The caller has verified that `part` has `digest`.
    pub fn admit(
        &self,
        part: &Path,
        digest: &Digest,
        file_name: &str,
    ) -> Result<StoredFile, StoreError> {
        let path = self.final_path(digest, file_name);
        create_folder(&self.digest_folder(digest))?;
        fs::rename(part, &path)
            .map_err(|error| StoreError::io("give its final name to", &path, error))?;
        sync_folder(&self.digest_folder(digest))?;
        let bytes =
            fs::metadata(&path).map_err(|error| StoreError::io("read", &path, error))?.len();
        Ok(StoredFile { digest: digest.clone(), path, bytes })
    }

    /// All whole files, ordered by digest.
    pub fn files(&self) -> Result<Vec<StoredFile>, StoreError> {
        let folder = self.root.join("sha256");
        let mut found = Vec::new();
        for name in entries(&folder)? {
            let parsed: Result<Digest, DigestError> = name.to_string_lossy().parse();
            if let Ok(digest) = parsed {
                found.extend(files_in(&folder.join(&name), &digest)?);
            }
        }
        found.sort_by(|a, b| (&a.digest, &a.path).cmp(&(&b.digest, &b.path)));
        Ok(found)
    }

    fn digest_folder(&self, digest: &Digest) -> PathBuf {
        self.root.join("sha256").join(digest.as_str())
    }
}

/// Creates a folder and those above it.
pub fn create_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(|error| StoreError::io("create the folder", path, error))
}

/// Makes a rename or a new file in the folder durable.
pub fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let sync = || fs::File::open(path)?.sync_all();
    sync().map_err(|error| StoreError::io("write the folder", path, error))
}

/// Whole files (not `.part`, not hidden) directly in `folder`; none when the folder is missing.
fn files_in(folder: &Path, digest: &Digest) -> Result<Vec<StoredFile>, StoreError> {
    let mut found = Vec::new();
    for name in entries(folder)? {
        let text = name.to_string_lossy();
        if text.ends_with(PART_SUFFIX) || text.contains(".part.") || text.starts_with('.') {
            continue;
        }
        let path = folder.join(&name);
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {
                found.push(StoredFile { digest: digest.clone(), path, bytes: meta.len() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("read", &path, error)),
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<std::ffi::OsString>, StoreError> {
    let failed = |error| StoreError::io("read the folder", folder, error);
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    listing.map(|entry| entry.map(|entry| entry.file_name()).map_err(failed)).collect()
}
