//! What the user may write for MODEL: a path, a name or digest in the store, `hf:owner/repo/file`, a manifest.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::{
    artifact::{HUGGING_FACE_PREFIX, HuggingFaceFile, Wanted},
    manifest::{parse, read_all},
    store::{LookupError, Store},
};

use super::{
    exit::Exit,
    source::{Supply, supply},
    surroundings::fetch,
};

/// The file that `word` means; downloads it if need be.
pub(super) async fn find(word: &str, store: &Store) -> anyhow::Result<PathBuf> {
    if word.starts_with(HUGGING_FACE_PREFIX) {
        let wanted = Wanted::hugging_face(HuggingFaceFile::parse(word)?, None);
        return Ok(fetch(store, &wanted, false).await?.path);
    }
    let path = Path::new(word);
    if path.is_dir() {
        let reason = format!("`{word}` is a folder; name a .gguf file or a manifest in it");
        return Err(Exit::Usage(reason).into());
    }
    if !path.is_file() {
        return look_up(word, store);
    }
    if is_manifest(path) { from_manifest(path, store).await } else { Ok(path.to_owned()) }
}

fn look_up(word: &str, store: &Store) -> anyhow::Result<PathBuf> {
    match store.lookup(word) {
        Ok(model) => Ok(model.path.into()),
        Err(LookupError::NotFound { store, known, .. }) => Err(Exit::NotFound(format!(
            "no model `{word}`: there is no such file, and the store {store} has no such model: {known}"
        ))
        .into()),
        Err(error) => Err(error.into()),
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
}

/// The file of the manifest's only model.
async fn from_manifest(path: &Path, store: &Store) -> anyhow::Result<PathBuf> {
    let texts = read_all(&[path.to_owned()], &mut std::io::empty())?;
    let manifests = parse(&texts)?;
    let [model] = manifests.models.as_slice() else {
        let count = manifests.models.len();
        let reason =
            format!("{} holds {count} RealmModels; `realm run` needs exactly one", path.display());
        return Err(Exit::Usage(reason).into());
    };
    let config = realm_crds::resolve::engine_config(&model.value)
        .with_context(|| format!("cannot use {}", path.display()))?;
    match supply(&config)? {
        Supply::Fetch(wanted) => Ok(fetch(store, &wanted, false).await?.path),
        Supply::Mounted(_) => {
            let reason = "the manifest's source is a pvc or an image, which only a cluster can mount; name the .gguf file instead";
            Err(Exit::Usage(reason.into()).into())
        }
    }
}
