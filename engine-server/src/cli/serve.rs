//! `realm serve`: from manifests on a laptop, or from the operator's files in a cluster, to a running server.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use realm_crds::names::{API_PORT, MANAGEMENT_PORT};
use realm_engine::engine::PackedIn;

use super::{
    compiler::compiler,
    exit::Exit,
    laptop::Laptop,
    model_word,
    signals::Interrupts,
    source::{Supply, supply},
    surroundings::{StoreArgs, fetch},
    welcome::Welcome,
};
use crate::{
    config::{ConfigSource, Limits, Resolved},
    digest::Digest,
    program::ProgramOptions,
    server::{ModelFile, ServeError, Server, ServerOptions},
    store::Store,
    telemetry::{self, LogFormat},
};

/// Folder of compiled programs, in the store.
const PROGRAMS_FOLDER: &str = "programs";
/// In a cluster: how long endpoints may still send requests to a pod that is stopping.
const CLUSTER_DRAIN_GRACE: Duration = Duration::from_secs(5);
/// In a cluster: how long the health document shows a fatal failure, so that the operator can read it.
const CLUSTER_FAILURE_LINGER: Duration = Duration::from_secs(20);

/// Serves one model to many tenants, with an OpenAI-compatible API.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Manifests with a RealmModel, and RealmTenants and Secrets if any: a file, a folder, or - for standard input
    #[arg(short, long = "file", value_name = "FILE", required_unless_present = "config", conflicts_with_all = ["config", "tenants"])]
    pub files: Vec<PathBuf>,
    /// Which RealmModel to serve when the manifests hold several: this version serves one at a time
    #[arg(long, value_name = "NAME", requires = "files")]
    pub model: Option<String>,
    /// The model's file, instead of what the manifest's source names; needed for the sources pvc and image
    #[arg(long, value_name = "PATH", env = "REALM_MODEL_FILE")]
    pub model_file: Option<PathBuf>,
    /// A smaller model of the same vocabulary that guesses tokens: a .gguf file, the name or digest of a model in the
    /// store, hf:OWNER/REPO/FILE.gguf[@REVISION], or a manifest [default: guesses come from the text]
    #[arg(long, value_name = "MODEL", env = "REALM_DRAFT_MODEL")]
    pub draft_model: Option<String>,
    /// In a cluster: the engine configuration that the operator writes
    #[arg(long, value_name = "ENGINE.JSON")]
    pub config: Option<PathBuf>,
    /// In a cluster: the tenants that the operator writes
    #[arg(long, value_name = "TENANTS.JSON", requires = "config")]
    pub tenants: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1, with --config 0.0.0.0]
    #[arg(long, value_name = "ADDRESS", env = "REALM_HOST")]
    pub host: Option<IpAddr>,
    /// Port of the API; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = API_PORT, env = "REALM_PORT")]
    pub port: u16,
    /// Port of health and metrics, which tenants must not reach; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = MANAGEMENT_PORT, env = "REALM_MANAGEMENT_PORT")]
    pub management_port: u16,
    /// Folder of generated API keys [default: the platform's data folder, on Linux ~/.local/share/realm]
    #[arg(long, value_name = "DIR", env = "REALM_DATA")]
    pub data: Option<PathBuf>,
    /// Folder of tenants' compiled programs [default: programs in the model store]
    #[arg(long, value_name = "DIR", env = "REALM_PROGRAMS")]
    pub programs: Option<PathBuf>,
    /// Form of the log on standard error [default: text, with --config json]
    #[arg(long, value_name = "FORM", env = "REALM_LOG_FORMAT")]
    pub log_format: Option<LogForm>,
    /// What is logged, such as info or realm_engine_server=debug [default: warn, with --config info]
    #[arg(long, value_name = "FILTER", env = "REALM_LOG")]
    pub log: Option<String>,
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LogForm {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs the command until a signal or a fatal failure.
pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let in_cluster = args.config.is_some();
    start_log(&args, in_cluster)?;
    let interrupts = Interrupts::listen().context("cannot listen for signals")?;
    let laptop = Laptop::new(&args.files, args.model.clone(), args.data.clone());
    let (source, welcome) = match &args.config {
        Some(config) => {
            (ConfigSource::files(config.clone(), args.tenants.clone()), Welcome::default())
        }
        None => laptop.read_first()?,
    };
    let resolved = source.read().map_err(|error| anyhow::anyhow!("{error}"))?;
    let server = bind(&args, in_cluster, source).await?;
    let welcome = welcome.at(server.api_addr(), server.management_addr(), &resolved);
    welcome.loading();
    let told = tokio::spawn(welcome.say_when_ready(server.state().clone()));
    let server = with_programs(server, programs_folder(&args));
    let failure = Arc::new(Mutex::new(None));
    let model = find_model(args, resolved, Arc::clone(&failure));
    let ended = Box::pin(server.run(model, interrupts.token())).await;
    told.abort();
    ended.map_err(|error| explain(error, &failure))
}

/// Where compiled programs are kept. A store that cannot be had says so when the model is looked for.
fn programs_folder(args: &ServeArgs) -> Option<PathBuf> {
    let in_store = || Some(args.store.open().ok()?.root().join(PROGRAMS_FOLDER));
    args.programs.clone().or_else(in_store)
}

/// Programs are compiled by this executable under its hidden verb.
fn with_programs(server: Server, folder: Option<PathBuf>) -> Server {
    match (folder, compiler()) {
        (Some(folder), Ok(compiler)) => server.with_programs(ProgramOptions { folder, compiler }),
        _ => server,
    }
}

/// The first cause knows its exit code; the server only keeps the words.
fn explain(error: ServeError, failure: &Mutex<Option<anyhow::Error>>) -> anyhow::Error {
    match (&error, failure.lock().unwrap_or_else(PoisonError::into_inner).take()) {
        (ServeError::Model(_), Some(cause)) => cause,
        (ServeError::Bind { .. }, _) => {
            Exit::Unavailable(format!("{error} Choose another with --port or --management-port"))
                .into()
        }
        _ => error.into(),
    }
}

fn start_log(args: &ServeArgs, in_cluster: bool) -> anyhow::Result<()> {
    let format = match (args.log_format, in_cluster) {
        (Some(LogForm::Json), _) | (None, true) => LogFormat::Json,
        _ => LogFormat::Text,
    };
    let default = if in_cluster { "info" } else { "warn" };
    let filter = args.log.as_deref().unwrap_or(default);
    telemetry::init(format, filter).map_err(|error| Exit::Usage(error.to_string()).into())
}

async fn bind(args: &ServeArgs, in_cluster: bool, source: ConfigSource) -> anyhow::Result<Server> {
    let host =
        args.host.unwrap_or(if in_cluster { [0, 0, 0, 0].into() } else { [127, 0, 0, 1].into() });
    let pick = |cluster: Duration| if in_cluster { cluster } else { Duration::ZERO };
    let options = ServerOptions {
        api_addr: SocketAddr::new(host, args.port),
        management_addr: Some(SocketAddr::new(host, args.management_port)),
        limits: Limits::default(),
        drain_grace: pick(CLUSTER_DRAIN_GRACE),
        failure_linger: pick(CLUSTER_FAILURE_LINGER),
    };
    Server::bind(options, source).await.map_err(|error| explain(error, &Mutex::new(None)))
}

/// The verified file; the error also goes to `failure`, whole.
async fn find_model(
    args: ServeArgs,
    resolved: Resolved,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
) -> Result<ModelFile, String> {
    let in_cluster = args.config.is_some();
    let store = args.store.open();
    let found: anyhow::Result<ModelFile> = async {
        let store = store?;
        let file = model_file(args.model_file.as_deref(), &resolved, &store, in_cluster).await?;
        let draft_model = match &args.draft_model {
            Some(word) => Some(model_word::find(word, &store).await?),
            None => None,
        };
        Ok(ModelFile { draft_model, packed: PackedIn::Folder(store.packed()), ..file })
    }
    .await;
    found.map_err(|error| {
        let words = format!("{error:#}");
        failure.lock().unwrap_or_else(PoisonError::into_inner).replace(error);
        words
    })
}

async fn model_file(
    given: Option<&Path>,
    resolved: &Resolved,
    store: &Store,
    in_cluster: bool,
) -> anyhow::Result<ModelFile> {
    if let Some(path) = given {
        return hashed(path.to_owned()).await;
    }
    match supply(&resolved.config)? {
        Supply::Fetch(wanted) => {
            let file = fetch(store, &wanted, false).await?;
            Ok(whole(file.path, &file.digest))
        }
        Supply::Mounted(path) if in_cluster => hashed(path).await,
        Supply::Mounted(_) => Err(Exit::Usage(
            "the source of this RealmModel is a pvc or an image, which only a cluster can mount: give the file with --model-file PATH".into(),
        )
        .into()),
    }
}

/// A file outside the store, with the digest of its content.
async fn hashed(path: PathBuf) -> anyhow::Result<ModelFile> {
    if !path.is_file() {
        return Err(Exit::NotFound(format!("there is no model file {}", path.display())).into());
    }
    let task_path = path.clone();
    let digest = tokio::task::spawn_blocking(move || Digest::of_file(&task_path))
        .await?
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(whole(path, &digest))
}

fn whole(path: PathBuf, digest: &Digest) -> ModelFile {
    let (digest, packed) = (digest.to_string(), PackedIn::default());
    ModelFile { path, digest, draft_model: None, packed }
}
