//! The one layer of an image: a tar with sorted paths, no times and no owners, digested as it is written.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// Folders that a container runtime and static programs expect.
const FOLDERS: &[(&str, u32)] =
    &[("dev", 0o755), ("etc", 0o755), ("proc", 0o755), ("sys", 0o755), ("tmp", 0o1777)];

/// One file of a layer: where it is, its path without the leading slash, its mode.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub source: &'a Path,
    pub path: &'a str,
    pub mode: u32,
}

/// Counts and digests what passes through.
#[derive(Debug)]
pub(super) struct Digesting<W> {
    inner: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Digesting<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, digest: Sha256::new(), bytes: 0 }
    }

    /// The writer, the hexadecimal SHA-256 and the count of bytes.
    pub(super) fn finish(self) -> (W, String, u64) {
        (self.inner, hex::encode(self.digest.finalize()), self.bytes)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.digest.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a layer.
///
/// # Errors
/// A file cannot be read, two files have one path, the disk is full.
pub(super) fn write<W: Write>(mut entries: Vec<Entry<'_>>, to: W) -> Result<W> {
    entries.sort_by_key(|entry| entry.path);
    if let Some(twice) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
        bail!("two files of the image have the path /{}", twice[0].path);
    }
    let mut tar = Builder::new(to);
    let mut folders = BTreeSet::new();
    for (folder, mode) in FOLDERS {
        append_folder(&mut tar, folder, *mode)?;
        folders.insert((*folder).to_owned());
    }
    for entry in &entries {
        append_parents(&mut tar, &mut folders, entry.path)?;
        append_file(&mut tar, entry)?;
    }
    tar.into_inner().context("end the layer")
}

fn append_parents<W: Write>(
    tar: &mut Builder<W>,
    seen: &mut BTreeSet<String>,
    path: &str,
) -> Result<()> {
    for (end, _) in path.match_indices('/') {
        if seen.insert(path[..end].to_owned()) {
            append_folder(tar, &path[..end], 0o755)?;
        }
    }
    Ok(())
}

fn append_folder<W: Write>(tar: &mut Builder<W>, path: &str, mode: u32) -> Result<()> {
    let mut header = plain_header(EntryType::Directory, mode, 0);
    tar.append_data(&mut header, format!("{path}/"), io::empty())
        .with_context(|| format!("add /{path}"))
}

fn append_file<W: Write>(tar: &mut Builder<W>, entry: &Entry<'_>) -> Result<()> {
    let what = || format!("add {} as /{}", entry.source.display(), entry.path);
    let file = fs::File::open(entry.source).with_context(what)?;
    let size = file.metadata().with_context(what)?.len();
    let mut header = plain_header(EntryType::Regular, entry.mode, size);
    tar.append_data(&mut header, entry.path, file).with_context(what)
}

/// Root's, from 1970.
pub(super) fn plain_header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}
