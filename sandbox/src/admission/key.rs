//! The key of a cache folder: made once from the operating system's random numbers, readable by its owner alone.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes that SHA-256 takes at a time.
const BLOCK_BYTES: usize = 64;
const KEY_NAME: &str = "key";
/// Who may read the key and compiled programs: their owner.
pub(super) const OWNER_ONLY: u32 = 0o600;

/// A key. It is not shown.
pub(super) struct Key([u8; KEY_BYTES]);

impl Key {
    /// The folder's key; made if there is none. Of several processes that make one, one wins.
    pub(super) fn of_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(KEY_NAME);
        match fs::read(&path) {
            Ok(bytes) => Self::parse(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(folder, &path),
            Err(error) => Err(error),
        }
    }

    /// The key as a block of the hash, which ends with zeros as HMAC has it.
    pub(super) fn block(&self) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        block[..KEY_BYTES].copy_from_slice(&self.0);
        block
    }

    fn make(folder: &Path, path: &Path) -> io::Result<Self> {
        let mut fresh = [0; KEY_BYTES];
        getrandom::fill(&mut fresh).map_err(io::Error::other)?;
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let part = folder.join(format!("{KEY_NAME}.{}.part", hex::encode(name)));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&part)?;
        file.write_all(&fresh)?;
        file.sync_all()?;
        // A link fails when another process was first, and its key counts.
        let linked = fs::hard_link(&part, path);
        fs::remove_file(&part)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Self::parse(&fs::read(path)?),
        }
    }

    fn parse(bytes: &[u8]) -> io::Result<Self> {
        bytes.try_into().map(Self).map_err(|_| {
            let message =
                format!("the key has {} bytes, not {KEY_BYTES}; remove the folder", bytes.len());
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Key")
    }
}
