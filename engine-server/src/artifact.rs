//! Model files: from Hugging Face, from a URL, from the standard Hugging Face cache, into the model store.
//!
//! A file gets its final name only when it is whole, has the digest that was asked for and begins like a GGUF file;
//! until then it is a `.part` file that a later call resumes. One process downloads a file at a time, the others wait
//! for it. This module must not parse models and must not print: it reports through [`Progress`].

use std::{fs, path::Path};

use crate::{
    digest::Digest,
    store::{Pin, Store, StoreError, StoredFile},
};

mod client;
mod error;
mod header;
mod hub_cache;
mod lock;
mod options;
mod part;
mod progress;
mod source;
mod transfer;

pub use error::{FailureKind, FetchError};
pub use options::{FetchOptions, RetryPolicy};
pub use progress::{Progress, Silent};
pub use source::{HUGGING_FACE_PREFIX, HuggingFaceFile, Source, SourceError, Wanted, parse_url};

use part::Part;
use transfer::Transfer;

/// Downloads model files into a store.
#[derive(Debug)]
pub struct Fetcher {
    client: reqwest::Client,
    options: FetchOptions,
}

impl Fetcher {
    /// A fetcher with one connection pool; installs the process-wide TLS provider if there is none yet.
    pub fn new(options: FetchOptions) -> Result<Self, FetchError> {
        Ok(Self { client: client::build()?, options })
    }

    /// Returns `wanted` from the store, from the Hugging Face cache or from its source, in this order.
    pub async fn fetch(
        &self,
        store: &Store,
        wanted: &Wanted,
        progress: &mut dyn Progress,
    ) -> Result<StoredFile, FetchError> {
        if let Some(file) = present(store, wanted)? {
            return Ok(file);
        }
        let key = wanted.digest().cloned().unwrap_or_else(|| source_key(wanted));
        let _lock = lock::acquire(&store.lock_path(&key), progress).await?;
        if let Some(file) = present(store, wanted)? {
            return Ok(file);
        }
        if let Some(file) = self.take_from_hub_cache(store, wanted, progress).await? {
            return Ok(file);
        }
        let part_path = store.part_path(wanted.digest(), &key, wanted.file_name());
        let digest = self.download(&part_path, wanted, progress).await?;
        let file = store.admit(&part_path, &digest, wanted.file_name())?;
        part::forget_origin(&part_path)?;
        pin(store, wanted, &file)?;
        Ok(file)
    }

    /// Brings the part file to the wanted digest; one more time from the start if a resumed one turns out wrong.
    async fn download(
        &self,
        part_path: &Path,
        wanted: &Wanted,
        progress: &mut dyn Progress,
    ) -> Result<Digest, FetchError> {
        let transfer = Transfer::new(&self.client, &self.options, wanted)?;
        let mut part = Part::open(part_path).await?;
        let resumed = part.len() > 0;
        let arrived = transfer.run(&mut part, progress).await;
        progress.end();
        if let Err(error) = arrived {
            return Err(drop_part_on_full_disk(part_path, error));
        }
        match verify(part, part_path, wanted).await {
            Err(error @ FetchError::WrongDigest { .. }) if resumed => {
                progress.note(&format!("{error}; starting again from the first byte"));
                let mut part = Part::open(part_path).await?;
                transfer.run(&mut part, progress).await?;
                progress.end();
                verify(part, part_path, wanted).await
            }
            verdict => verdict,
        }
    }

    /// A copy in the standard cache, taken over when its content is what was asked for.
    async fn take_from_hub_cache(
        &self,
        store: &Store,
        wanted: &Wanted,
        progress: &mut dyn Progress,
    ) -> Result<Option<StoredFile>, FetchError> {
        let (Source::HuggingFace(file), Some(cache)) = (wanted.source(), &self.options.hub_cache)
        else {
            return Ok(None);
        };
        let Some(found) = hub_cache::find(cache, file) else { return Ok(None) };
        progress.note(&format!("checking the copy in the Hugging Face cache: {}", found.display()));
        let (task_store, task_wanted) = (store.clone(), wanted.clone());
        let taken = tokio::task::spawn_blocking(move || {
            hub_cache::take(&found, &task_store, task_wanted.digest(), task_wanted.file_name())
        })
        .await
        .map_err(FetchError::task)??;
        if let Some(file) = &taken {
            pin(store, wanted, file)?;
        } else {
            progress.note("that copy is not the wanted file; downloading");
        }
        Ok(taken)
    }
}

/// A client with the roots, time-outs and redirects of downloads, for small files.
pub fn http_client() -> Result<reqwest::Client, FetchError> {
    client::build()
}

/// The file, if the store holds it already.
fn present(store: &Store, wanted: &Wanted) -> Result<Option<StoredFile>, StoreError> {
    match (wanted.digest(), wanted.source()) {
        (Some(digest), _) => store.find(digest),
        (None, Source::HuggingFace(file)) => {
            match store.pinned(&file.repo(), file.revision(), &file.file())? {
                Some(digest) => store.find(&digest),
                None => Ok(None),
            }
        }
        (None, Source::Http(_)) => Ok(None),
    }
}

/// Records the digest of a file that was asked for without one.
fn pin(store: &Store, wanted: &Wanted, file: &StoredFile) -> Result<(), StoreError> {
    let (None, Source::HuggingFace(source)) = (wanted.digest(), wanted.source()) else {
        return Ok(());
    };
    let pin = Pin {
        repo: source.repo(),
        revision: source.revision().to_owned(),
        file: source.file(),
        digest: file.digest.to_string(),
    };
    store.pin(&pin, file)
}

/// Checks digest and header of a complete part; a part that fails is removed, so that no later call resumes it.
async fn verify(part: Part, path: &Path, wanted: &Wanted) -> Result<Digest, FetchError> {
    let found = part.finish().await?;
    let verdict = match wanted.digest() {
        Some(expected) if *expected != found => Err(FetchError::WrongDigest {
            source_name: wanted.source().to_string(),
            expected: expected.clone(),
            found,
        }),
        _ => header::check(path, wanted.source()).map(|()| found),
    };
    if verdict.is_err() {
        part::remove(path)?;
    }
    verdict
}

/// A full disk is not helped by keeping the part: give the space back.
fn drop_part_on_full_disk(path: &Path, error: FetchError) -> FetchError {
    if matches!(&error, FetchError::Store(cause) if cause.is_full_disk()) {
        fs::remove_file(path).ok();
        part::forget_origin(path).ok();
    }
    error
}

fn source_key(wanted: &Wanted) -> Digest {
    Digest::of(wanted.source().to_string().as_bytes())
}
