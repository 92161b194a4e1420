//! Starts the operator: checks the command line, waits for the lease, runs the controllers, gives the lease back.
#![forbid(unsafe_code)]

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use kube::{Api, Client};
use realm_operator::{
    admin::{self, Readiness},
    args::{Arguments, Command, RunArguments},
    caches::Watches,
    client,
    context::Context,
    controller, discover,
    health::HealthClient,
    leader::Candidate,
    metrics::Metrics,
    settings::PodSettings,
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Time for reconciles that have begun to end after the order to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or(Command::Run) {
        Command::Crd => print_definitions(),
        Command::Run => {
            telemetry::start(&arguments.run.log)?;
            rustls::crypto::ring::default_provider()
                .install_default()
                .map_err(|_| anyhow::anyhow!("another TLS provider is installed already"))?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(run(arguments.run))
        }
    }
}

#[expect(clippy::print_stdout, reason = "printing is what the command is for")]
fn print_definitions() -> anyhow::Result<()> {
    for (_, content) in realm_crds::crd::files()? {
        print!("---\n{content}");
    }
    Ok(())
}

async fn run(arguments: RunArguments) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    let app = admin::app(metrics.clone(), readiness.clone());
    let admin = tokio::spawn(admin::serve(arguments.admin_address, app, stop.clone()));
    let client =
        client::connect(&metrics).await.context("failed to set up the client of the API server")?;
    let identity = match arguments.identity.clone() {
        Some(identity) => identity,
        None => random_identity()?,
    };
    let mut candidate =
        Candidate::new(Api::namespaced(client.clone(), &arguments.namespace), identity);
    info!(version = env!("CARGO_PKG_VERSION"), engine_image = arguments.engine_image, "starting");
    readiness.set(true);
    tokio::select! {
        () = candidate.acquire() => {}
        () = stop.cancelled() => return Ok(()),
    }
    metrics.leading(true);
    let led = lead(&arguments, client, metrics.clone(), &readiness, &mut candidate, &stop).await;
    metrics.leading(false);
    stop.cancel();
    admin.await.context("the admin port stopped")?.context("failed to serve the admin port")?;
    led
}

/// Reconciles while the lease is held. Returns an error when it is lost, so that the process starts anew as a candidate.
async fn lead(
    arguments: &RunArguments,
    client: Client,
    metrics: Metrics,
    readiness: &Readiness,
    candidate: &mut Candidate,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let work = CancellationToken::new();
    let mut controllers = tokio::spawn(reconcile(
        arguments.clone(),
        client,
        metrics,
        work.clone(),
        readiness.clone(),
    ));
    let lost = tokio::select! {
        () = candidate.hold() => true,
        () = stop.cancelled() => false,
        ended = &mut controllers => return ended.context("the controllers stopped")?,
    };
    readiness.set(false);
    work.cancel();
    if lost {
        controllers.abort();
        anyhow::bail!("the lease was lost");
    }
    let ended = tokio::select! {
        ended = tokio::time::timeout(STOP_TIMEOUT, &mut controllers) => ended.is_ok(),
        () = candidate.hold() => false,
    };
    if !ended {
        warn!("reconciles did not end in time");
        controllers.abort();
    }
    candidate.release().await.context("failed to give the lease back")
}

async fn reconcile(
    arguments: RunArguments,
    client: Client,
    metrics: Metrics,
    stop: CancellationToken,
    readiness: Readiness,
) -> anyhow::Result<()> {
    let (watches, caches, changes) = Watches::start(client.clone(), stop.clone(), metrics.clone());
    let capabilities =
        discover::start(client.clone(), watches, caches.clone(), metrics.clone(), stop.clone())
            .await;
    tokio::select! {
        ready = caches.ready() => ready.context("a watch ended before it began")?,
        () = stop.cancelled() => return Ok(()),
    }
    info!(models = caches.models.len(), tenants = caches.tenants.len(), "caches are warm");
    let settings =
        PodSettings { engine_image: arguments.engine_image, hf_endpoint: arguments.hf_endpoint };
    let health = HealthClient::new().context("failed to set up the client of the pods")?;
    let ctx = Context::new(client, caches, capabilities, settings, health, metrics);
    readiness.set(true);
    controller::run(Arc::new(ctx), changes, stop).await;
    Ok(())
}

/// Cancelled by SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let trigger = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("told to stop");
        trigger.cancel();
    });
    Ok(stop)
}

fn random_identity() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("failed to get randomness: {error}"))?;
    Ok(format!("realm-operator-{}", hex::encode(bytes)))
}
