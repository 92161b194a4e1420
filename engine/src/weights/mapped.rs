//! A GGUF file mapped in memory: the page cache holds the weights once for all processes of a machine.
#![expect(unsafe_code, reason = "mapping a file is unsafe; this is the one place that does it")]

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;

use super::source::Weights;
use crate::gguf::{Gguf, GgufError, Metadata, TensorInfo};

/// Advice is given in multiples of this; pages are no larger on the systems that we know, or the advice is refused.
#[cfg(unix)]
const PAGE: usize = 4096;

/// Why a model file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused.
    #[error("cannot open the model file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The path is a folder, a device or a pipe.
    #[error("{} is not a regular file; give the path of a .gguf model file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is empty.
    #[error("the model file {} is empty; download it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is not valid GGUF.
    #[error("cannot read the model file {}: {source}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: GgufError,
    },
}

/// A parsed file and its mapped bytes.
#[derive(Debug)]
pub struct MappedModel {
    gguf: Gguf,
    index: HashMap<String, usize>,
    bytes: Mmap,
    /// Nanoseconds since 1970 at which the file last changed; 0 where the system does not say.
    modified: u128,
}

impl MappedModel {
    /// Maps and parses a file.
    ///
    /// The file must not change while the model lives: Realm's store never writes a file that has its final name.
    ///
    /// # Errors
    /// [`OpenError`] names the file and what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        // Before opening: opening a pipe would wait for its other end.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(OpenError::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(OpenError::NotAFile { path: path.to_owned() });
        }
        if metadata.len() == 0 {
            return Err(OpenError::Empty { path: path.to_owned() });
        }
        // SAFETY: the mapping is private and read-only, and lives as long as `self`. Should another process write
        // to the file the bytes would change under us, and should it cut the file short, reading the lost pages
        // would end this process with SIGBUS; the store therefore never changes a file that has its final name.
        let bytes = unsafe { Mmap::map(&file) }.map_err(io)?;
        let gguf = Gguf::parse(&bytes)
            .map_err(|source| OpenError::Gguf { path: path.to_owned(), source })?;
        let index = gguf
            .tensors
            .iter()
            .enumerate()
            .map(|(place, tensor)| (tensor.name.clone(), place))
            .collect();
        let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |since| since.as_nanos());
        Ok(Self { gguf, index, bytes, modified })
    }

    /// The parsed header.
    pub fn gguf(&self) -> &Gguf {
        &self.gguf
    }

    /// The metadata of the file.
    pub fn metadata(&self) -> &Metadata {
        &self.gguf.metadata
    }

    /// The bytes before the tensors' data: metadata and descriptions.
    pub(super) fn header_bytes(&self) -> &[u8] {
        let start = self.gguf.tensors.iter().map(|tensor| tensor.offset).min().unwrap_or(0);
        usize::try_from(start).ok().and_then(|end| self.bytes.get(..end)).unwrap_or_default()
    }

    /// When the file last changed, in nanoseconds since 1970.
    pub(super) fn modified(&self) -> u128 {
        self.modified
    }

    /// Lets the system drop the whole pages of a part of the file from this process's memory; they are read again when
    /// they are used again.
    #[cfg(unix)]
    pub(super) fn give_back(&self, part: &[u8]) {
        let start = part.as_ptr().addr().saturating_sub(self.bytes.as_ptr().addr());
        let first = start.next_multiple_of(PAGE);
        let len = (start + part.len()).saturating_sub(first) / PAGE * PAGE;
        if len > 0 {
            // SAFETY: the mapping is read-only and backed by the file, so a dropped page comes back with the same bytes.
            // That it could not be dropped changes nothing.
            let _ =
                unsafe { self.bytes.unchecked_advise_range(UncheckedAdvice::DontNeed, first, len) };
        }
    }

    /// Does nothing where there is no such call.
    #[cfg(not(unix))]
    pub(super) fn give_back(&self, _: &[u8]) {}

    /// Size of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl Weights for MappedModel {
    fn tensor(&self, name: &str) -> Option<(&TensorInfo, &[u8])> {
        let info = self.gguf.tensors.get(*self.index.get(name)?)?;
        let start = usize::try_from(info.offset).ok()?;
        let len = usize::try_from(info.bytes).ok()?;
        Some((info, self.bytes.get(start..start.checked_add(len)?)?))
    }
}
