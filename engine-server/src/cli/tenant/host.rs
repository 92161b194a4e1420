//! What programs reach on an author's machine: a store in memory, the clock, a tokenizer made of a recording, and a log and
//! counters that are kept to be shown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use realm_sandbox::{
    Host,
    host::{Log, Metrics, SystemClock, Tokenizer},
    memory_store::MemoryStore,
    wire::LogLevel,
};

use super::{recording::Recording, tokenizer::RecordedTokenizer};

/// Bytes of the store, as a tenant's in the server.
const STORE_BYTES: usize = 1 << 20;
/// Lines that are kept; what follows is dropped.
const MAX_LINES: usize = 1000;

/// What a program said: lines of its log and changes of its counters. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(Arc<Mutex<Vec<String>>>);

impl Records {
    /// Everything so far; what comes later is kept anew.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines())
    }

    fn add(&self, line: String) {
        let mut lines = self.lines();
        if lines.len() < MAX_LINES {
            lines.push(line);
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Records {
    fn emit(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        self.add(format!("{level} {message}"));
    }
}

impl Metrics for Records {
    fn add(&self, name: &str, value: f64) {
        Self::add(self, format!("counter {name} + {value}"));
    }
}

/// A host that keeps what programs say in `records` and has the words of a recording.
pub(super) fn imitation(records: &Records, recording: Option<&Recording>) -> Host {
    let empty = Recording { tokens: Vec::new() };
    let tokenizer: Arc<dyn Tokenizer> =
        Arc::new(RecordedTokenizer::of(recording.unwrap_or(&empty)));
    let clock = Arc::new(SystemClock::default());
    Host {
        tokenizer,
        store: Arc::new(MemoryStore::new(clock.clone(), STORE_BYTES)),
        log: Arc::new(records.clone()),
        metrics: Arc::new(records.clone()),
        clock,
    }
}
