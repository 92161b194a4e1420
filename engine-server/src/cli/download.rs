//! `realm download`: a model into the store, from a manifest, Hugging Face, a URL, or for the pod's init container.

use std::{
    io::{Write, stdin, stdout},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{ArgGroup, Args};
use realm_crds::EngineConfig;
use realm_engine::weights::{MappedModel, PackedIn, PackedModel, PackedState};
use serde_json::json;

use super::{
    exit::Exit,
    signals::Interrupts,
    source::{Supply, supply},
    surroundings::{StoreArgs, fetch},
};
use crate::{
    artifact::{HUGGING_FACE_PREFIX, HuggingFaceFile, Wanted},
    config::ConfigSource,
    digest::Digest,
    manifest::{parse, read_all},
    store::StoredFile,
};

/// Downloads models into the store: resumable, verified, never half.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["source", "files", "config"])))]
pub(super) struct DownloadArgs {
    /// hf:OWNER/REPO/FILE.gguf[@REVISION], or an http(s) URL together with --sha256
    pub source: Option<String>,
    /// SHA-256 that the file must have
    #[arg(long, value_name = "HEX", requires = "source")]
    pub sha256: Option<Digest>,
    /// Manifests: the file of every RealmModel in them
    #[arg(short, long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// In a cluster: the engine configuration that the operator writes
    #[arg(long, value_name = "ENGINE.JSON")]
    pub config: Option<PathBuf>,
    /// Print one JSON object for each file
    #[arg(long)]
    pub json: bool,
    /// Print no progress
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Runs the command; paths of the files go to standard output.
pub(super) async fn run(args: DownloadArgs) -> anyhow::Result<()> {
    let cancel = Interrupts::listen().context("cannot listen for signals")?.token();
    let store = args.store.open()?;
    for supply in supplies(&args)? {
        let wanted = match supply {
            Supply::Fetch(wanted) => wanted,
            Supply::Mounted(path) => {
                eprintln!(
                    "nothing to download: the file is mounted at {} in the pod",
                    path.display()
                );
                continue;
            }
        };
        let file = tokio::select! {
            file = fetch(&store, &wanted, args.quiet) => file?,
            () = cancel.cancelled() => {
                eprintln!("interrupted; what has arrived is kept, the same command resumes");
                return Err(Exit::Interrupted.into());
            }
        };
        if args.config.is_some() {
            // The engine of the pod mounts the store read-only, and other pods of the node share the pages.
            let (path, packed) = (file.path.clone(), store.packed());
            tokio::task::spawn_blocking(move || pack(&path, packed)).await??;
        }
        print(&file, args.json)?;
    }
    Ok(())
}

/// Packs the weights of a whole file; that there is no room for them is said and is no failure.
fn pack(path: &Path, folder: PathBuf) -> anyhow::Result<()> {
    let file = MappedModel::open(path)?;
    match PackedModel::new(file, &PackedIn::Folder(folder)).state() {
        PackedState::Memory(Some(reason)) => {
            eprintln!("the packed weights are not kept, each start makes them anew: {reason}");
        }
        state => tracing::debug!(?state, "packed the weights"),
    }
    Ok(())
}

fn supplies(args: &DownloadArgs) -> anyhow::Result<Vec<Supply>> {
    if let Some(source) = &args.source {
        return Ok(vec![Supply::Fetch(from_word(source, args.sha256.clone())?)]);
    }
    if let Some(config) = &args.config {
        return Ok(vec![supply(&read_config(config)?)?]);
    }
    let manifests = parse(&read_all(&args.files, &mut stdin().lock())?)?;
    if manifests.models.is_empty() {
        return Err(Exit::Usage("no RealmModel in the files".into()).into());
    }
    let configs =
        manifests.models.iter().map(|model| Ok(realm_crds::resolve::engine_config(&model.value)?));
    configs.map(|config: anyhow::Result<EngineConfig>| supply(&config?)).collect()
}

fn from_word(word: &str, digest: Option<Digest>) -> anyhow::Result<Wanted> {
    let wanted = if word.starts_with(HUGGING_FACE_PREFIX) {
        HuggingFaceFile::parse(word).map(|file| Wanted::hugging_face(file, digest))
    } else {
        Wanted::http(word, digest)
    };
    wanted.map_err(|error| Exit::Usage(error.to_string()).into())
}

fn read_config(path: &Path) -> anyhow::Result<EngineConfig> {
    if !path.exists() {
        return Err(Exit::NotFound(format!("there is no file {}", path.display())).into());
    }
    Ok(ConfigSource::files(path.to_owned(), None).read()?.config)
}

fn print(file: &StoredFile, json: bool) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    if json {
        writeln!(
            out,
            "{}",
            json!({ "path": file.path, "digest": file.digest.as_str(), "bytes": file.bytes })
        )?;
    } else {
        writeln!(out, "{}", file.path.display())?;
    }
    Ok(())
}
