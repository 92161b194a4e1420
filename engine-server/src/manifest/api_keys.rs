//! The API keys of a laptop: those that manifests bring in Secrets, and those of `generate: true`, which are made
//! once and kept in a file that only its owner can read, so that a restart keeps them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use realm_crds::names::GENERATED_KEY_PREFIX;

use super::fault::ManifestError;

/// Random bytes of a generated key: 256 bits.
const KEY_BYTES: usize = 32;
/// The largest key file that is read, in bytes.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// The folder of generated keys.
#[derive(Debug, Clone)]
pub struct KeyFolder {
    root: PathBuf,
}

/// A key that was made just now; shown to the user once.
#[derive(Clone, PartialEq, Eq)]
pub struct GeneratedKey {
    /// The tenant that it is for.
    pub tenant: String,
    /// Its name in the manifest.
    pub name: String,
    /// The key itself.
    pub key: String,
    /// Where it is kept.
    pub path: PathBuf,
}

impl std::fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GeneratedKey")
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl KeyFolder {
    /// The folder `data/keys`.
    pub fn below(data: &Path) -> Self {
        Self { root: data.join("keys") }
    }

    /// The key kept as `secret` of `namespace`, and whether it was made just now.
    pub fn load_or_make(
        &self,
        namespace: &str,
        secret: &str,
    ) -> Result<(String, bool, PathBuf), ManifestError> {
        let folder = self.root.join(namespace);
        let path = folder.join(secret);
        match read_key(&path) {
            Ok(key) => return Ok((key, false, path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("read", &path, &error)),
        }
        let key = random_key().map_err(|error| failed("make", &path, &error))?;
        match keep(&folder, &path, &key) {
            Ok(()) => Ok((key, true, path)),
            // Another process made it in the meantime.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let key = read_key(&path).map_err(|error| failed("read", &path, &error))?;
                Ok((key, false, path))
            }
            Err(error) => Err(failed("keep", &path, &error)),
        }
    }
}

fn failed(action: &'static str, path: &Path, error: &io::Error) -> ManifestError {
    ManifestError::KeyFile { action, path: path.to_owned(), reason: error.to_string() }
}

fn read_key(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_KEY_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_KEY_FILE_BYTES} bytes")));
    }
    let key = fs::read_to_string(path)?.trim().to_owned();
    if key.is_empty() {
        return Err(io::Error::other("it is empty; delete it to make a new key"));
    }
    Ok(key)
}

fn random_key() -> io::Result<String> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{GENERATED_KEY_PREFIX}{}", hex::encode(bytes)))
}

/// Writes the key under another name first: a key file is whole or absent.
fn keep(folder: &Path, path: &Path, key: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let draft = path.with_extension(format!("{}.part", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&draft).and_then(|mut file| {
        writeln!(file, "{key}")?;
        file.sync_all()
    });
    // A link, unlike a rename, never replaces a key that another process has made.
    let kept = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    kept
}
