//! Accepts connections and drives them: deadlines, a bound on how many are open, and a graceful end.
//!
//! `axum::serve` has none of these, so this drives hyper itself. HTTP/1.1 only; TLS and HTTP/2 belong to the gateway.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    config::Limits,
    metrics::{Metrics, ReasonLabels},
    server::stall::StallGuard,
};

/// Pause after the system refuses a connection, for example for lack of file descriptors.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);
/// Time that a connection without any request so far gets when the drain begins: its first one may be on its way, and is
/// answered rather than cut.
const FIRST_REQUEST_DRAIN: Duration = Duration::from_secs(1);

/// The three steps of an end.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    /// Connections end after the answer that they are giving; new ones are still accepted.
    pub(super) drain: CancellationToken,
    /// Everything ends now.
    pub(super) cut: CancellationToken,
}

/// A port and what answers there.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) listener: TcpListener,
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    pub(super) ending: Ending,
    /// Connections that were open when the drain began.
    pub(super) draining: TaskTracker,
}

impl Port {
    /// Accepts until the cut.
    pub(super) async fn serve(self) {
        let cut = self.ending.cut.clone();
        tokio::select! {
            () = cut.cancelled() => {}
            () = self.accept_forever() => {}
        }
    }

    async fn accept_forever(self) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => self.open(stream, place),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
                }
            }
        }
    }

    fn open(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        let connection = Connection {
            router: self.router.clone(),
            limits: self.limits,
            metrics: self.metrics.clone(),
            ending: self.ending.clone(),
            _open: Open::new(self.metrics.connections.clone(), place),
        };
        if self.ending.drain.is_cancelled() {
            tokio::spawn(connection.drive(stream, false));
        } else {
            self.draining.spawn(connection.drive(stream, true));
        }
    }
}

/// Whether a connection has had a request.
#[derive(Debug, Default)]
struct FirstRequest {
    arrived: AtomicBool,
    arrival: Notify,
}

impl FirstRequest {
    fn arrive(&self) {
        self.arrived.store(true, Ordering::Release);
        self.arrival.notify_one();
    }

    fn has_arrived(&self) -> bool {
        self.arrived.load(Ordering::Acquire)
    }
}

/// Counts an open connection and holds its place.
struct Open {
    gauge: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Open {
    fn new(gauge: Gauge, place: OwnedSemaphorePermit) -> Self {
        gauge.inc();
        Self { gauge, _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

struct Connection {
    router: Router,
    limits: Limits,
    metrics: Metrics,
    ending: Ending,
    _open: Open,
}

impl Connection {
    /// `graceful` connections end at the drain after the answer that they are giving; the others carry one request.
    async fn drive(self, stream: TcpStream, graceful: bool) {
        // Each token is a small write that should leave at once.
        let _ = stream.set_nodelay(true);
        let first = Arc::new(FirstRequest::default());
        let seen = Arc::clone(&first);
        let service = self.router.clone().map_request(move |request: Request<Incoming>| {
            seen.arrive();
            request.map(axum::body::Body::new)
        });
        let io = TokioIo::new(StallGuard::new(stream, self.limits.write_stall_timeout));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_read_timeout)
            .keep_alive(graceful)
            .serve_connection(io, TowerToHyperService::new(service));
        tokio::pin!(connection);
        let mut drained = !graceful;
        let mut ending = false;
        let mut late = Box::pin(tokio::time::sleep(self.limits.first_request_timeout));
        let mut waiting = true;
        loop {
            tokio::select! {
                ended = connection.as_mut() => return self.note(ended),
                () = self.ending.cut.cancelled() => return,
                () = self.ending.drain.cancelled(), if !drained => {
                    drained = true;
                    if first.has_arrived() {
                        connection.as_mut().graceful_shutdown();
                    } else {
                        ending = true;
                        late.as_mut().reset(tokio::time::Instant::now() + FIRST_REQUEST_DRAIN);
                    }
                }
                () = first.arrival.notified(), if ending => {
                    ending = false;
                    connection.as_mut().graceful_shutdown();
                }
                () = late.as_mut(), if waiting => {
                    waiting = false;
                    if !first.has_arrived() {
                        return self.malformed("first_request_timeout");
                    }
                }
            }
        }
    }

    fn note(&self, ended: hyper::Result<()>) {
        match ended {
            Err(error) if error.is_parse() => self.malformed("http"),
            Err(error) if error.is_timeout() => self.malformed("header_timeout"),
            Err(error) => tracing::debug!(%error, "a connection broke"),
            Ok(()) => {}
        }
    }

    fn malformed(&self, reason: &'static str) {
        self.metrics.http_malformed.get_or_create(&ReasonLabels { reason }).inc();
    }
}
