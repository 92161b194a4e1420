//! A run that two threads call, one at a time: one asks about tokens that were chosen, the other about the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::run::Run;

/// A request's run in several hands; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct SharedRun(Arc<Mutex<Run>>);

impl SharedRun {
    /// Waits for a call that another thread has in progress, which takes up to its hook's deadline.
    pub fn lock(&self) -> MutexGuard<'_, Run> {
        // A call that panicked left a run that fails or ends as any other.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Run> for SharedRun {
    fn from(run: Run) -> Self {
        Self(Arc::new(Mutex::new(run)))
    }
}
