//! The life of the server: ports first, then the model, then requests, then the drain.
//!
//! The ports are bound and probes are answered before the model is there. A model that does not load shows in `/health`
//! for a while and then ends the process with an error. At the order to stop: `/readyz` fails at once; requests are still
//! taken for a grace, until load balancers have noticed; then new ones get 503, open answers may finish within the drain
//! timeout, and what still runs is cut with an error event.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api,
    config::{ConfigError, ConfigSource, Limits},
    metrics::Metrics,
    program::ProgramOptions,
    server::{
        listener::{Ending, Port},
        load::LoadingError,
    },
    state::AppState,
    tenant::TenantTableError,
};

mod listener;
mod load;
mod quota;
mod reload;
mod stall;

pub use load::ModelFile;

/// Time that cut answers get to deliver their error event.
const CUT_FLUSH_TIME: Duration = Duration::from_secs(2);

/// Where and how to serve.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The port for clients.
    pub api_addr: SocketAddr,
    /// The port for metrics and health; `None` for no such port.
    pub management_addr: Option<SocketAddr>,
    /// Bounds of everything.
    pub limits: Limits,
    /// Time after the order to stop in which requests are still taken: until endpoints have vanished in a cluster, zero
    /// on a terminal.
    pub drain_grace: Duration,
    /// Time for which `/health` shows a fatal failure before the process ends.
    pub failure_linger: Duration,
}

/// Why serving ended, other than by the order to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port cannot be had.
    #[error("cannot listen on {addr}: {source}; is another server running there?")]
    Bind {
        /// Which one.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration does not read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tenants do not read.
    #[error("the tenant table cannot be used: {0}")]
    Tenants(#[from] TenantTableError),
    /// There is no model to serve; the message says why.
    #[error("no model to serve: {0}")]
    Model(String),
    /// The model does not load.
    #[error(transparent)]
    Load(#[from] LoadingError),
    /// The engine failed too often.
    #[error("the engine failed too often and does not run any more; the log has the causes")]
    EngineFailed,
}

/// A server whose ports are bound.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    source: ConfigSource,
    fingerprint: [u8; 32],
    state: AppState,
    api: TcpListener,
    management: Option<TcpListener>,
}

impl Server {
    /// Reads the configuration and binds the ports. Nothing is answered before [`Self::run`].
    pub async fn bind(options: ServerOptions, source: ConfigSource) -> Result<Self, ServeError> {
        // Taken first: a change between the two reads is seen as a change.
        let fingerprint = source.fingerprint();
        let state = AppState::new(source.read()?, options.limits, Metrics::new())?;
        let api = listen(options.api_addr).await?;
        let management = match options.management_addr {
            Some(addr) => Some(listen(addr).await?),
            None => None,
        };
        Ok(Self { options, source, fingerprint, state, api, management })
    }

    /// The bound address of the client port.
    pub fn api_addr(&self) -> SocketAddr {
        self.api.local_addr().unwrap_or(self.options.api_addr)
    }

    /// The bound address of the management port.
    pub fn management_addr(&self) -> Option<SocketAddr> {
        let listener = self.management.as_ref()?;
        listener.local_addr().ok().or(self.options.management_addr)
    }

    /// Lets tenants' programs run.
    #[must_use]
    pub fn with_programs(self, options: ProgramOptions) -> Self {
        self.state.programs().configure(options);
        self
    }

    /// What its requests see.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Serves until `shutdown`, or until it cannot. `model` gives the file, for example by a download; its error is a
    /// message for people.
    pub async fn run<M>(self, model: M, shutdown: CancellationToken) -> Result<(), ServeError>
    where
        M: Future<Output = Result<ModelFile, String>>,
    {
        let Self { options, source, fingerprint, state, api, management } = self;
        let running =
            Running { ending: Ending::default(), draining: TaskTracker::new(), state, options };
        let mut tasks = JoinSet::new();
        tasks.spawn(running.port(api, api::app(running.state.clone())).serve());
        let watching_over = CancellationToken::new();
        if let Some(listener) = management {
            let port = running.port(listener, api::management(running.state.clone()));
            // Operators look until the end: this port does not drain.
            let ending = Ending { drain: CancellationToken::new(), cut: watching_over.clone() };
            tasks.spawn(Port { ending, draining: TaskTracker::new(), ..port }.serve());
        }
        tasks.spawn(reload::watch(source, running.state.clone(), fingerprint));
        let ended = running.live(model, &shutdown).await;
        watching_over.cancel();
        tasks.shutdown().await;
        ended
    }
}

/// A server that answers.
struct Running {
    ending: Ending,
    draining: TaskTracker,
    state: AppState,
    options: ServerOptions,
}

impl Running {
    fn port(&self, listener: TcpListener, router: axum::Router) -> Port {
        Port {
            listener,
            router,
            limits: self.options.limits,
            metrics: self.state.metrics().clone(),
            ending: self.ending.clone(),
            draining: self.draining.clone(),
        }
    }

    async fn live<M>(&self, model: M, shutdown: &CancellationToken) -> Result<(), ServeError>
    where
        M: Future<Output = Result<ModelFile, String>>,
    {
        let ended = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            failed = self.load_and_serve(model) => Err(failed),
        };
        match ended {
            Ok(()) => {
                self.drain().await;
                Ok(())
            }
            Err(error) => {
                self.fail(&error, shutdown).await;
                Err(error)
            }
        }
    }

    /// Ends only when the model cannot be served (any more).
    async fn load_and_serve<M>(&self, model: M) -> ServeError
    where
        M: Future<Output = Result<ModelFile, String>>,
    {
        let file = match model.await {
            Ok(file) => file,
            Err(message) => return ServeError::Model(message),
        };
        let config = self.state.serving().config.clone();
        let loading = load::load(config, file, self.options.limits, self.state.metrics().clone());
        match loading.await {
            Ok(loaded) => self.state.set_loaded(loaded),
            Err(error) => return error.into(),
        }
        if let Some(loaded) = self.state.loaded() {
            tracing::info!(
                model = loaded.model.info().name,
                digest = loaded.digest,
                "the model is served"
            );
            let model = std::sync::Arc::clone(&loaded.model);
            tokio::select! {
                () = loaded.scheduler.ended().cancelled() => {}
                () = self.state.programs().keep(model) => {}
            }
        }
        ServeError::EngineFailed
    }

    /// Shows the failure for a while, so that an operator can read it.
    async fn fail(&self, error: &ServeError, shutdown: &CancellationToken) {
        tracing::error!(%error, "cannot serve");
        self.state.health().fail(error.to_string());
        tokio::select! {
            () = tokio::time::sleep(self.options.failure_linger) => {}
            () = shutdown.cancelled() => {}
        }
        self.ending.cut.cancel();
    }

    async fn drain(&self) {
        let timeout =
            Duration::from_secs(u64::from(self.state.serving().config.drain_timeout_seconds));
        tracing::info!(grace = ?self.options.drain_grace, ?timeout, "stopping");
        self.state.health().drain();
        self.state.metrics().draining.set(1);
        tokio::time::sleep(self.options.drain_grace).await;
        self.state.health().refuse();
        self.ending.drain.cancel();
        self.draining.close();
        if tokio::time::timeout(timeout, self.draining.wait()).await.is_err() {
            tracing::warn!(?timeout, "open answers did not finish in time and are cut");
            self.stop_scheduler();
            let _ = tokio::time::timeout(CUT_FLUSH_TIME, self.draining.wait()).await;
        }
        self.stop_scheduler();
        self.ending.cut.cancel();
    }

    fn stop_scheduler(&self) {
        if let Some(loaded) = self.state.loaded() {
            loaded.scheduler.stop();
        }
    }
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(addr).await.map_err(|source| ServeError::Bind { addr, source })
}
