//! A number of threads that others may change while an engine uses it.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Clones are the same number. It takes effect at the engine's next step.
#[derive(Debug, Clone)]
pub struct ThreadCount(Arc<AtomicUsize>);

impl ThreadCount {
    /// Starts with this many.
    pub fn new(threads: NonZeroUsize) -> Self {
        Self(Arc::new(AtomicUsize::new(threads.get())))
    }

    /// How many there should be.
    pub fn get(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.0.load(Ordering::Relaxed)).unwrap_or(NonZeroUsize::MIN)
    }

    /// Changes how many there should be.
    pub fn set(&self, threads: NonZeroUsize) {
        self.0.store(threads.get(), Ordering::Relaxed);
    }
}
