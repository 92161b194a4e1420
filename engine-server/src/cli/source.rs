//! From a configuration's source to something that can be fetched, or a file that is mounted already.

use std::path::PathBuf;

use realm_crds::{ArtifactSource, EngineConfig};

use crate::{
    artifact::{HuggingFaceFile, SourceError, Wanted},
    digest::Digest,
};

/// How the file of a configuration is had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Supply {
    /// Into the store, from the network unless it is there.
    Fetch(Wanted),
    /// From a volume, at this path in the pod.
    Mounted(PathBuf),
}

/// How the file of `config` is had.
pub(super) fn supply(config: &EngineConfig) -> anyhow::Result<Supply> {
    let digest = config.digest.as_deref().map(str::parse::<Digest>).transpose()?;
    Ok(match &config.source {
        ArtifactSource::HuggingFace(hub) => {
            let file = HuggingFaceFile::new(&hub.repo, Some(&hub.revision), &hub.file)?;
            Supply::Fetch(Wanted::hugging_face(file, digest))
        }
        ArtifactSource::Http(http) => Supply::Fetch(Wanted::http(&http.url, digest)?),
        ArtifactSource::Pvc(_) | ArtifactSource::Image(_) => {
            let mounted = config.source.mounted_file().ok_or_else(|| SourceError::Part {
                part: "source",
                value: "pvc".into(),
                reason: "it has no path",
            })?;
            Supply::Mounted(mounted.into())
        }
    })
}
