//! Opens the model and starts its scheduler, on a thread of its own: it computes and reads, and must not hold up the
//! async threads that answer probes meanwhile.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, thread, time::Instant};

use realm_crds::{engine_config::EngineConfig, realm_model::KvCacheType};
use realm_engine::engine::{
    Engine, EngineError, EngineOptions, KvType, LoadError, Model, ModelOptions,
};
use tokio::sync::oneshot;

use crate::{
    config::Limits,
    metrics::{Metrics, ModelInfoLabels, ModelLabels, observe_seconds},
    scheduler::{
        Scheduler, SchedulerOptions, StartError,
        queue::QueueBounds,
        seam::{EngineFactory, StepEngine},
    },
    state::Loaded,
    threads::default_threads,
};

/// Context of a sequence when the configuration leaves it to the model, at most.
const DEFAULT_MAX_CONTEXT: usize = 8192;

/// The file to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of its content, hexadecimal; whoever gives the path has verified it.
    pub digest: String,
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
    thread::Builder::new().name("realm-load".into()).spawn(move || {
        let _ = send.send(load_here(&config, file, limits, &metrics));
    })?;
    receive.await.map_err(|_| LoadingError::Panicked(path))?
}

fn load_here(
    config: &EngineConfig,
    file: ModelFile,
    limits: Limits,
    metrics: &Metrics,
) -> Result<Loaded, LoadingError> {
    check_digest(config, &file)?;
    let started = Instant::now();
    let model = Model::open(&file.path, &ModelOptions::default()).map_err(|source| {
        LoadingError::Open { path: file.path.clone(), source: Box::new(source) }
    })?;
    let options = engine_options(config, &model);
    let engine = Engine::new(Arc::clone(&model), options).map_err(StartError::Engine)?;
    let (context_length, kv_bytes) = (engine.context_length(), engine.kv_bytes());
    let factory = factory(Arc::clone(&model), options, engine);
    let (scheduler, _thread) = Scheduler::start(
        scheduler_options(config, limits),
        Arc::clone(&model),
        factory,
        metrics.clone(),
    )?;
    let labels = ModelLabels { model: config.served_name.clone() };
    observe_seconds(&metrics.model_load, &labels, started.elapsed());
    metrics.cpu_threads.set(options.threads.get() as i64);
    describe(metrics, labels, &model, &file.digest);
    Ok(Loaded { model, scheduler, context_length, digest: file.digest, kv_bytes })
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
    let threads = settings.threads.and_then(|threads| NonZeroUsize::new(threads as usize));
    let threads = threads.unwrap_or_else(default_threads);
    let trained = model.info().context_length;
    let kv_tokens = settings.kv_tokens.map(|tokens| tokens as usize);
    let default = trained.min(DEFAULT_MAX_CONTEXT).min(kv_tokens.unwrap_or(usize::MAX));
    let context = settings.context_length.map_or(default, |context| context as usize);
    let kv_type = match settings.kv_cache_type {
        KvCacheType::F16 => KvType::F16,
        KvCacheType::F32 => KvType::F32,
        KvCacheType::Q8_0 => KvType::Q8_0,
    };
    let sequences = settings.parallel.max(1) as usize;
    EngineOptions { kv_type, kv_tokens, ..EngineOptions::new(threads, context, sequences) }
}

fn scheduler_options(config: &EngineConfig, limits: Limits) -> SchedulerOptions {
    SchedulerOptions {
        parallel: config.engine.parallel as usize,
        batch_tokens: config.engine.batch_tokens as usize,
        prefill_tokens: config.engine.prefill_tokens as usize,
        queue: QueueBounds { total: limits.queue_depth, per_tenant: limits.queue_depth_per_tenant },
        model_label: config.served_name.clone(),
    }
}

/// Gives the engine that is there already, and new ones after it.
fn factory(model: Arc<Model>, options: EngineOptions, first: Engine) -> EngineFactory {
    let mut first = Some(first);
    Box::new(move || {
        let engine = match first.take() {
            Some(engine) => engine,
            None => Engine::new(Arc::clone(&model), options)?,
        };
        Ok::<Box<dyn StepEngine>, EngineError>(Box::new(engine))
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
