//! Who waits and who runs: what a decision is about.

use std::fmt;

use crate::scheduler::fairness::standing::Standing;

/// A tenant with a sequence that waits for a place or for pages, and for nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a, T> {
    /// Whose.
    pub tenant: &'a T,
    /// What it is entitled to.
    pub standing: Standing,
}

/// A sequence that has a place in the batch.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a, T> {
    /// Whose.
    pub tenant: &'a T,
    /// What its tenant is entitled to.
    pub standing: Standing,
    /// Pages of the KV cache that it holds.
    pub pages: usize,
    /// What it did with the place.
    pub progress: Progress,
}

/// What a sequence did since it began or began again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Steps that it could have been in.
    pub steps: usize,
    /// Tokens that were computed for it.
    pub computed: usize,
    /// Of those, tokens that had not been computed for it before.
    pub gained: usize,
}

impl Progress {
    /// Notes a step.
    pub fn note(&mut self, computed: usize, gained: usize) {
        self.steps += 1;
        self.computed += computed;
        self.gained += gained;
    }
}

/// What there is to decide about.
pub struct Scene<'a, T> {
    /// Tenants that wait, each once, in the order in which they came.
    pub lines: &'a [Line<'a, T>],
    /// Sequences that run, in the order in which they began.
    pub places: &'a [Place<'a, T>],
    /// Pages of the KV cache.
    pub pages: usize,
    /// Whether the first sequence of a line would have its pages if so many more were free.
    pub fits: &'a dyn Fn(usize, usize) -> bool,
}

impl<T: fmt::Debug> fmt::Debug for Scene<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scene")
            .field("lines", &self.lines)
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

/// What to do before the next step. Indices are places in the scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The first sequence of this line begins.
    Begin(usize),
    /// The sequence at `place` goes back to the head of its line, and the first of `line` begins.
    Swap {
        /// Who begins.
        line: usize,
        /// Who gives way.
        place: usize,
    },
    /// The sequence at this place goes back to the head of its line, for its pages.
    Yield(usize),
    /// Nothing: the step can run.
    Rest,
}

/// What a tenant was given by a step.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a, T> {
    /// Who.
    pub tenant: &'a T,
    /// Its entitlement.
    pub standing: Standing,
    /// Cost of what was computed for it.
    pub cost: u64,
}
