//! Opens the model and starts its scheduler, on a thread of its own: it computes and reads, and must not hold up the
//! async threads that answer probes meanwhile.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Instant,
};

use realm_crds::{
    engine_config::EngineConfig,
    realm_model::{KvCacheType, SpeculationMode},
};
use realm_engine::{
    engine::{
        Engine, EngineError, EngineOptions, KvType, LoadError, Model, ModelOptions, PackedIn, Task,
        ThreadCount,
    },
    speculation::{DraftModel, VocabularyMismatch},
};
use tokio::sync::oneshot;

use super::quota::follow;
use crate::{
    config::Limits,
    constraint::Constraints,
    metrics::{Metrics, ModelInfoLabels, ModelLabels, observe_seconds},
    scheduler::{
        Scheduler, SchedulerOptions, StartError,
        queue::QueueBounds,
        seam::{DraftedEngine, EngineFactory, StepEngine},
    },
    state::Loaded,
    threads::{SYSTEM_ROOT, default_threads},
};

/// Context of a sequence when the configuration leaves it to the model, at most.
const DEFAULT_MAX_CONTEXT: usize = 8192;

/// Texts that an encoder embeds together, at most; more gain nothing.
const TEXTS_AT_ONCE: usize = 32;

/// The file to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of its content, hexadecimal; whoever gives the path has verified it.
    pub digest: String,
    /// A smaller model of the same vocabulary that guesses, if there is one.
    pub draft_model: Option<PathBuf>,
    /// Where the packed weights are kept.
    pub packed: PackedIn,
}

/// Why a model is not served.
#[derive(Debug, thiserror::Error)]
pub enum LoadingError {
    /// The file is not the one that the configuration names.
    #[error("the file {path} has the digest {actual}, but the configuration wants {wanted}")]
    WrongDigest {
        /// Which file.
        path: PathBuf,
        /// What it has.
        actual: String,
        /// What it should have.
        wanted: String,
    },
    /// The file does not open as a model.
    #[error("cannot open {path}: {source}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<LoadError>,
    },
    /// The draft model is of another kind.
    #[error("cannot use {path} as draft model: {source}")]
    DraftModel {
        /// Which file.
        path: PathBuf,
        /// What differs.
        source: VocabularyMismatch,
    },
    /// The engine does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No thread.
    #[error("cannot start a thread to load the model: {0}")]
    Thread(#[from] std::io::Error),
    /// Loading panicked.
    #[error(
        "loading {0} failed without an error; this is a fault of the program, its log has the cause"
    )]
    Panicked(PathBuf),
}

/// Opens the file as the configuration says.
pub(super) async fn load(
    config: EngineConfig,
    file: ModelFile,
    limits: Limits,
    metrics: Metrics,
) -> Result<Loaded, LoadingError> {
    let path = file.path.clone();
    let (send, receive) = oneshot::channel();
    let fixed = config.engine.threads.is_some();
    let threads = ThreadCount::new(threads(&config));
    let (count, gauges) = (threads.clone(), metrics.clone());
    thread::Builder::new().name("realm-load".into()).spawn(move || {
        let _ = send.send(load_here(&config, file, limits, &gauges, &count));
    })?;
    let loaded = receive.await.map_err(|_| LoadingError::Panicked(path))??;
    if !fixed {
        let ended = loaded.scheduler.ended().clone();
        tokio::spawn(follow(Path::new(SYSTEM_ROOT), threads, metrics, ended));
    }
    Ok(loaded)
}

fn load_here(
    config: &EngineConfig,
    file: ModelFile,
    limits: Limits,
    metrics: &Metrics,
    threads: &ThreadCount,
) -> Result<Loaded, LoadingError> {
    check_digest(config, &file)?;
    let started = Instant::now();
    let model = open(&file.path, &file.packed)?;
    let maker = EngineMaker { options: engine_options(config, &model), threads: threads.clone() };
    let engine = maker.engine(&model).map_err(StartError::Engine)?;
    let (context_length, kv_bytes) = (engine.context_length(), engine.kv_bytes());
    let draft_model = file.draft_model.as_deref().filter(|_| speculates(config));
    let factory = match draft_model {
        Some(path) => {
            let (draft, drafts) = draft_model_at(path, &file.packed, &model, &maker)?;
            drafted_factory(Arc::clone(&model), draft, maker, (engine, drafts))
        }
        None => factory(Arc::clone(&model), maker, engine),
    };
    let (scheduler, _thread) = Scheduler::start(
        scheduler_options(config, limits),
        Arc::clone(&model),
        factory,
        metrics.clone(),
    )?;
    let labels = ModelLabels { model: config.served_name.clone() };
    observe_seconds(&metrics.model_load, &labels, started.elapsed());
    metrics.cpu_threads.set(threads.get().get() as i64);
    describe(metrics, labels, &model, &file.digest);
    let constraints = Arc::new(Constraints::new(Arc::clone(&model)));
    Ok(Loaded { model, constraints, scheduler, context_length, digest: file.digest, kv_bytes })
}

fn open(path: &Path, packed: &PackedIn) -> Result<Arc<Model>, LoadingError> {
    let options = ModelOptions { packed: packed.clone(), ..ModelOptions::default() };
    let model = Model::open(path, &options)
        .map_err(|source| LoadingError::Open { path: path.to_owned(), source: Box::new(source) })?;
    tracing::info!(weights = ?model.packed(), "the model is open");
    Ok(model)
}

/// The draft model's file, open, and an engine that runs it.
fn draft_model_at(
    path: &Path,
    packed: &PackedIn,
    target: &Model,
    maker: &EngineMaker,
) -> Result<(Arc<Model>, DraftModel), LoadingError> {
    let model = open(path, packed)?;
    let engine = maker.draft_engine(&model).map_err(StartError::Engine)?;
    let drafts = DraftModel::new(engine, target)
        .map_err(|source| LoadingError::DraftModel { path: path.to_owned(), source })?;
    Ok((model, drafts))
}

/// What engines are made with; more than one when an engine failed or guesses.
struct EngineMaker {
    options: EngineOptions,
    threads: ThreadCount,
}

impl EngineMaker {
    fn engine(&self, model: &Arc<Model>) -> Result<Engine, EngineError> {
        self.engine_with(model, self.options)
    }

    /// As many sequences as the target has, and as much context as it was trained for.
    fn draft_engine(&self, model: &Arc<Model>) -> Result<Engine, EngineError> {
        let context_length = self.options.context_length.min(model.info().context_length);
        self.engine_with(model, EngineOptions { context_length, ..self.options })
    }

    fn engine_with(
        &self,
        model: &Arc<Model>,
        options: EngineOptions,
    ) -> Result<Engine, EngineError> {
        let mut engine = Engine::new(Arc::clone(model), options)?;
        engine.follow(self.threads.clone());
        Ok(engine)
    }
}

/// What the manifest says, or as many as the container may use.
fn threads(config: &EngineConfig) -> NonZeroUsize {
    let given = config.engine.threads.and_then(|threads| NonZeroUsize::new(threads as usize));
    given.unwrap_or_else(default_threads)
}

fn check_digest(config: &EngineConfig, file: &ModelFile) -> Result<(), LoadingError> {
    match &config.digest {
        Some(wanted) if !wanted.eq_ignore_ascii_case(&file.digest) => {
            Err(LoadingError::WrongDigest {
                path: file.path.clone(),
                actual: file.digest.clone(),
                wanted: wanted.clone(),
            })
        }
        _ => Ok(()),
    }
}

fn engine_options(config: &EngineConfig, model: &Model) -> EngineOptions {
    let settings = &config.engine;
    let trained = model.info().context_length;
    let kv_tokens = settings.kv_tokens.map(|tokens| tokens as usize);
    let default = trained.min(DEFAULT_MAX_CONTEXT).min(kv_tokens.unwrap_or(usize::MAX));
    let context = settings.context_length.map_or(default, |context| context as usize);
    let kv_type = match settings.kv_cache_type {
        KvCacheType::F16 => KvType::F16,
        KvCacheType::F32 => KvType::F32,
        KvCacheType::Q8_0 => KvType::Q8_0,
    };
    let parallel = settings.parallel.max(1) as usize;
    // Texts that are embedded need sequences beside those that generate, in the memory that there is for these.
    let sequences = match (model.info().task, model.info().embeds) {
        (Task::Embed, _) => parallel.max(TEXTS_AT_ONCE),
        (Task::Generate, true) => parallel + 1,
        (Task::Generate, false) => parallel,
    };
    let kv_tokens =
        kv_tokens.or_else(|| Some(context.checked_mul(parallel)?).filter(|_| sequences > parallel));
    EngineOptions { kv_type, kv_tokens, ..EngineOptions::new(threads(config), context, sequences) }
}

fn scheduler_options(config: &EngineConfig, limits: Limits) -> SchedulerOptions {
    let drafts = config.engine.speculation.max_draft_tokens;
    SchedulerOptions {
        parallel: config.engine.parallel as usize,
        batch_tokens: config.engine.batch_tokens as usize,
        prefill_tokens: config.engine.prefill_tokens as usize,
        max_draft_tokens: if speculates(config) { drafts as usize } else { 0 },
        queue: QueueBounds { total: limits.queue_depth, per_tenant: limits.queue_depth_per_tenant },
        model_label: config.served_name.clone(),
    }
}

fn speculates(config: &EngineConfig) -> bool {
    config.engine.speculation.mode == SpeculationMode::Auto
}

/// Gives the engine that is there already, and new ones after it.
fn factory(model: Arc<Model>, maker: EngineMaker, first: Engine) -> EngineFactory {
    let mut first = Some(first);
    Box::new(move || {
        let engine = match first.take() {
            Some(engine) => engine,
            None => maker.engine(&model)?,
        };
        Ok::<Box<dyn StepEngine>, EngineError>(Box::new(engine))
    })
}

/// The same with a draft model beside each engine.
fn drafted_factory(
    target: Arc<Model>,
    draft: Arc<Model>,
    maker: EngineMaker,
    first: (Engine, DraftModel),
) -> EngineFactory {
    let mut first = Some(first);
    Box::new(move || {
        let (engine, drafts) = if let Some(first) = first.take() {
            first
        } else {
            let engine = maker.engine(&target)?;
            // The vocabularies were compared when the server started.
            let drafts = DraftModel::of_same_vocabulary(maker.draft_engine(&draft)?);
            (engine, drafts)
        };
        Ok::<Box<dyn StepEngine>, EngineError>(Box::new(DraftedEngine { engine, drafts }))
    })
}

fn describe(metrics: &Metrics, labels: ModelLabels, model: &Model, digest: &str) {
    let info = model.info();
    metrics.attach_model(&labels.model);
    metrics.model_size.get_or_create(&labels).set(info.file_bytes as i64);
    let labels = ModelInfoLabels {
        model: labels.model,
        architecture: info.architecture.clone(),
        quantization: info.quantization.clone(),
        sha256: digest.to_owned(),
    };
    metrics.model_info.get_or_create(&labels).set(1);
}
