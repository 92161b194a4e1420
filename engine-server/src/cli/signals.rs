//! SIGINT and SIGTERM: the first asks for a clean end, the second ends the process at once.

use std::{
    process,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::exit::INTERRUPTED;

/// The token that the next signal cancels. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupts {
    current: Arc<Mutex<CancellationToken>>,
}

impl Interrupts {
    /// Listens for signals from now on; must be called inside a tokio runtime.
    pub(super) fn listen() -> std::io::Result<Self> {
        let interrupts = Self::default();
        let listener = interrupts.clone();
        let mut signals = Signals::new()?;
        tokio::spawn(async move {
            loop {
                signals.next().await;
                listener.signalled();
            }
        });
        Ok(interrupts)
    }

    /// The token that is cancelled by the next signal, or was cancelled by the last.
    pub(super) fn token(&self) -> CancellationToken {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes and returns a token that no signal has cancelled yet.
    pub(super) fn renew(&self) -> CancellationToken {
        let fresh = CancellationToken::new();
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&fresh);
        fresh
    }

    fn signalled(&self) {
        let token = self.token();
        if token.is_cancelled() {
            process::exit(INTERRUPTED.into());
        }
        token.cancel();
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Without a handler the system ends the process, which is what an error here leaves in place.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
