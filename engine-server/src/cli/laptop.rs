//! The configuration of a server that was started with `-f`: manifests, read again when their files change.

use std::path::{Path, PathBuf};

use super::welcome::Welcome;
use crate::{
    config::{ConfigError, ConfigSource, Resolved},
    manifest::{KeyFolder, ManifestError, Served, Text, files_of, parse, read_all, resolve},
};

/// Which manifests, which model of them, and where generated keys are kept.
#[derive(Debug, Clone)]
pub(super) struct Laptop {
    files: Vec<PathBuf>,
    model: Option<String>,
    keys: Option<KeyFolder>,
}

impl Laptop {
    /// Generated keys are kept below `data`, or in the platform's data folder.
    pub(super) fn new(files: &[PathBuf], model: Option<String>, data: Option<PathBuf>) -> Self {
        let platform = || {
            directories::ProjectDirs::from("", "", "realm").map(|dirs| dirs.data_dir().to_owned())
        };
        let keys = data.or_else(platform).map(|data| KeyFolder::below(&data));
        Self { files: files.to_owned(), model, keys }
    }

    /// Reads everything once; what the user must be told goes into the welcome.
    pub(super) fn read_first(&self) -> Result<(ConfigSource, Welcome), ManifestError> {
        let texts = self.texts()?;
        let manifests = parse(&texts)?;
        let served = resolve(&manifests, self.model.as_deref(), self.keys.as_ref())?;
        let welcome = Welcome::new(manifests.warnings.clone(), served.generated.clone());
        Ok((self.source(resolved(served)), welcome))
    }

    /// Standard input can be read only once, so a configuration from there never changes.
    fn source(&self, first: Resolved) -> ConfigSource {
        if self.files.iter().any(|file| file.as_os_str() == "-") {
            return ConfigSource::fixed(first);
        }
        let watched = self.files.iter().flat_map(|path| watched(path.as_path())).collect();
        let laptop = self.clone();
        ConfigSource::new(watched, move || {
            laptop.read().map_err(|error| ConfigError::Other(error.to_string()))
        })
    }

    fn read(&self) -> Result<Resolved, ManifestError> {
        let manifests = parse(&self.texts()?)?;
        resolve(&manifests, self.model.as_deref(), self.keys.as_ref()).map(resolved)
    }

    fn texts(&self) -> Result<Vec<Text>, ManifestError> {
        read_all(&self.files, &mut std::io::stdin().lock())
    }
}

/// The files to look at for changes: a folder's files as they are now.
fn watched(path: &Path) -> Vec<PathBuf> {
    files_of(path).unwrap_or_else(|_| vec![path.to_owned()])
}

fn resolved(served: Served) -> Resolved {
    Resolved { config: served.resolved.engine, tenants: served.resolved.tenants }
}
