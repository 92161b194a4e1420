//! The standard Hugging Face cache: `models--owner--name/snapshots/<commit>/<file>`, usually links into `blobs/`.
//!
//! Only read: nothing is ever written there. A copy is used when its content is proven: by the digest that the user
//! gave, or by the name of its blob, which is the SHA-256 for large files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{error::FetchError, source::HuggingFaceFile};
use crate::{
    digest::Digest,
    store::{PART_SUFFIX, Store, StoreError, StoredFile, create_folder},
};

/// The longest content of a `refs/<branch>` file: a commit and a newline.
const MAX_REF_BYTES: u64 = 256;

/// The path of `file` in the cache, if there is one.
pub(super) fn find(cache: &Path, file: &HuggingFaceFile) -> Option<PathBuf> {
    let repository = cache.join(file.cache_folder());
    let commit = commit_of(&repository, file.revision());
    let revision = commit.as_deref().unwrap_or(file.revision());
    let mut path = repository.join("snapshots").join(revision);
    path.extend(file.file_parts());
    let meta = fs::metadata(&path).ok()?;
    meta.is_file().then_some(path)
}

/// Takes a proven copy into the store: by a hard link where the file system can, else by copying.
/// `None`: the copy is not what was asked for.
pub(super) fn take(
    found: &Path,
    store: &Store,
    expected: Option<&Digest>,
    file_name: &str,
) -> Result<Option<StoredFile>, FetchError> {
    let blob = fs::canonicalize(found).map_err(|error| StoreError::io("read", found, error))?;
    let named: Option<Digest> =
        blob.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    let Some(expected) = expected.cloned().or(named) else { return Ok(None) };
    let digest = Digest::of_file(&blob).map_err(|error| StoreError::io("read", &blob, error))?;
    if digest != expected {
        return Ok(None);
    }
    let staged = store.final_path(&digest, &format!("{file_name}.cache{PART_SUFFIX}"));
    stage(&blob, &staged, &digest)
        .map_err(|error| StoreError::io("copy the cached file to", &staged, error))?;
    Ok(Some(store.admit(&staged, &digest, file_name)?))
}

/// Puts the blob's content at `staged`, synced; what a copy read is hashed again.
fn stage(blob: &Path, staged: &Path, digest: &Digest) -> io::Result<()> {
    if let Some(folder) = staged.parent() {
        create_folder(folder).map_err(io::Error::other)?;
    }
    if staged.exists() {
        fs::remove_file(staged)?;
    }
    if fs::hard_link(blob, staged).is_ok() {
        return Ok(());
    }
    let copied = fs::copy(blob, staged)
        .and_then(|_| fs::File::open(staged)?.sync_all())
        .and_then(|()| Digest::of_file(staged));
    match copied {
        Ok(copy) if copy == *digest => Ok(()),
        other => {
            fs::remove_file(staged).ok();
            Err(other.err().unwrap_or_else(|| io::Error::other("the copy differs from its origin")))
        }
    }
}

/// The commit that a branch or tag stood at when the cache was filled.
fn commit_of(repository: &Path, revision: &str) -> Option<String> {
    let path = repository.join("refs").join(revision);
    let meta = fs::metadata(&path).ok()?;
    if meta.len() > MAX_REF_BYTES {
        return None;
    }
    let commit = fs::read_to_string(path).ok()?.trim().to_owned();
    commit.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(commit)
}
