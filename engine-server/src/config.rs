//! The server's settings: the bounds of everything, and where the configuration and the tenants are read from, again and
//! again while the server runs.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use realm_crds::engine_config::{EngineConfig, TenantTable};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// Largest configuration or tenant file, in bytes: a Secret holds no more than this either.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Bounds of the server. The defaults are what the CLI and the operator use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub body_bytes: usize,
    /// Time in which a body must have arrived.
    pub body_read_timeout: Duration,
    /// Time in which the head of a new connection's first request must have arrived.
    pub first_request_timeout: Duration,
    /// The same for later requests; also how long an idle connection is kept, so longer than proxies keep theirs.
    pub header_read_timeout: Duration,
    /// A connection that takes no byte of its answer for so long is cut.
    pub write_stall_timeout: Duration,
    /// Open connections; more wait in the listener's backlog.
    pub connections: usize,
    /// Sequences that wait, of all tenants.
    pub queue_depth: usize,
    /// Sequences that wait, of one tenant.
    pub queue_depth_per_tenant: usize,
    /// Tokens of an answer whose request names no maximum, at most.
    pub default_output_tokens: usize,
    /// Pause between comments on a stream that has nothing to say, so that proxies keep it open.
    pub stream_keep_alive: Duration,
    /// How often the configuration and tenant files are looked at.
    pub reload_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 * 1024 * 1024,
            body_read_timeout: Duration::from_secs(30),
            first_request_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(75),
            write_stall_timeout: Duration::from_mins(1),
            connections: 1024,
            queue_depth: 256,
            queue_depth_per_tenant: 64,
            default_output_tokens: 4096,
            stream_keep_alive: Duration::from_secs(15),
            reload_interval: Duration::from_millis(500),
        }
    }
}

/// What the server serves and to whom, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What is served.
    pub config: EngineConfig,
    /// Who may use it.
    pub tenants: TenantTable,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is too large.
    #[error("{path} has {bytes} bytes; at most {MAX_FILE_BYTES} are read")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file is not what it should be; the message has line and column.
    #[error("{path}: {message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
    /// Another reader's error, for example of manifests.
    #[error("{0}")]
    Other(String),
}

type Reader = dyn Fn() -> Result<Resolved, ConfigError> + Send + Sync;

/// Where the configuration comes from: files to watch, and how to read them.
#[derive(Clone)]
pub struct ConfigSource {
    watched: Arc<[PathBuf]>,
    reader: Arc<Reader>,
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl ConfigSource {
    /// A source of any form: `reader` is called again when the content of a watched file has changed.
    pub fn new(
        watched: Vec<PathBuf>,
        reader: impl Fn() -> Result<Resolved, ConfigError> + Send + Sync + 'static,
    ) -> Self {
        Self { watched: watched.into(), reader: Arc::new(reader) }
    }

    /// The two files that the operator writes: `engine.json`, and `tenants.json` when there are tenants.
    pub fn files(config: PathBuf, tenants: Option<PathBuf>) -> Self {
        let watched = std::iter::once(config.clone()).chain(tenants.clone()).collect();
        Self::new(watched, move || {
            let tenants =
                tenants.as_deref().map(read_json::<TenantTable>).transpose()?.unwrap_or_default();
            Ok(Resolved { config: read_json(&config)?, tenants })
        })
    }

    /// A configuration that never changes.
    pub fn fixed(resolved: Resolved) -> Self {
        Self::new(Vec::new(), move || Ok(resolved.clone()))
    }

    /// Reads everything.
    pub fn read(&self) -> Result<Resolved, ConfigError> {
        (self.reader)()
    }

    /// Identifies the content of the watched files; a file that cannot be read counts as its error.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for path in self.watched.iter() {
            match read_bounded(path) {
                Ok(content) => hash.update(Sha256::digest(&content)),
                Err(error) => hash.update(Sha256::digest(error.to_string())),
            }
        }
        hash.finalize().into()
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let content = read_bounded(path)?;
    let mut reader = serde_json::Deserializer::from_slice(&content);
    let parsed = serde_path_to_error::deserialize(&mut reader);
    let value = parsed.map_err(|error| parse_error(path, &error.to_string()))?;
    reader.end().map_err(|error| parse_error(path, &error.to_string()))?;
    Ok(value)
}

fn parse_error(path: &Path, message: &str) -> ConfigError {
    ConfigError::Parse { path: path.to_owned(), message: message.to_owned() }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
    }
    fs::read(path).map_err(failed)
}
