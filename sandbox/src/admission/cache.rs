//! Compiled programs on disk. A file is named by the component's digest and the compiler's configuration, and begins with
//! a keyed hash over its name and content: compiled code is trusted code, and wasmtime does not see a flipped bit.

use std::{
    fs::{self, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{
    compiler::COMPILED_BYTES,
    key::{Key, OWNER_ONLY},
    refusal::CacheError,
};

/// First bytes of a file; the number changes with its layout.
const MAGIC: &[u8; 16] = b"realm-program-1\n";
/// Bytes of the keyed hash.
const TAG_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + TAG_BYTES;

/// A folder of compiled programs.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    key: Key,
}

/// Compiled code whose keyed hash was right: written by this cache, for this name.
pub(super) struct Trusted(Vec<u8>);

impl Trusted {
    pub(super) fn code(&self) -> &[u8] {
        &self.0[HEADER_BYTES..]
    }
}

impl Cache {
    /// Opens a folder, and makes it if there is none.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let folder = folder.into();
        let at = |cause| CacheError { path: folder.clone(), cause };
        fs::create_dir_all(&folder).map_err(at)?;
        let key = Key::of_folder(&folder).map_err(at)?;
        Ok(Self { folder, key })
    }

    /// Where a component's code is kept.
    pub fn path(&self, engine: &crate::Engine, wasm: &[u8]) -> PathBuf {
        self.folder.join(Self::name(engine.inner(), wasm))
    }

    /// The name of a component's code under that engine's configuration.
    pub(super) fn name(engine: &wasmtime::Engine, wasm: &[u8]) -> String {
        let mut configuration = DigestHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut configuration);
        let configuration = configuration.0.finalize();
        format!("{}-{}", hex::encode(Sha256::digest(wasm)), hex::encode(&configuration[..8]))
    }

    /// Code of that name, if it is there and whole. A file that is not is removed.
    pub(super) fn read(&self, name: &str) -> Result<Option<Trusted>, CacheError> {
        let path = self.folder.join(name);
        let bytes = match read_bounded(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(CacheError { path, cause }),
        };
        if self.is_ours(name, &bytes) {
            return Ok(Some(Trusted(bytes)));
        }
        tracing::warn!(path = %path.display(), "a compiled program was changed; it is removed and compiled anew");
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(CacheError { path, cause })
            }
            _ => Ok(None),
        }
    }

    /// Keeps code under that name: whole before it has it.
    pub(super) fn write(&self, name: &str, code: Vec<u8>) -> Result<Trusted, CacheError> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + code.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.tag(name, &code).finalize().into_bytes());
        bytes.extend_from_slice(&code);
        drop(code);
        let path = self.folder.join(name);
        self.place(&path, &bytes).map_err(|cause| CacheError { path, cause })?;
        Ok(Trusted(bytes))
    }

    fn place(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let part = path.with_extension(format!("{}.part", hex::encode(random)));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&part)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let placed = written.and_then(|()| fs::rename(&part, path));
        if placed.is_err() {
            // The reason is already at hand; a part that stays harms nobody.
            drop(fs::remove_file(&part));
        }
        placed?;
        fs::File::open(&self.folder)?.sync_all()
    }

    fn is_ours(&self, name: &str, bytes: &[u8]) -> bool {
        let Some((header, code)) = bytes.split_at_checked(HEADER_BYTES) else { return false };
        let (magic, tag) = header.split_at(MAGIC.len());
        magic == MAGIC && self.tag(name, code).verify_slice(tag).is_ok()
    }

    fn tag(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut tag = Hmac::<Sha256>::new(&self.key.block().into());
        tag.update(&(name.len() as u64).to_le_bytes());
        tag.update(name.as_bytes());
        tag.update(code);
        tag
    }
}

/// Reads a file, and no more than a compiled program can have.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let limit = (HEADER_BYTES + COMPILED_BYTES) as u64;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Feeds what hashes itself to a digest whose value does not change between releases of Rust.
struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}
