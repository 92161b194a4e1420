//! What happened in a program's hooks, as plain numbers for whoever shows metrics.

use std::{collections::BTreeMap, time::Duration};

use crate::breach::{Breach, BreachKind, Hook};

/// Counts of one program since it was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls and time, by hook.
    pub hooks: BTreeMap<Hook, HookCounter>,
    /// Breaches, by hook and kind.
    pub breaches: BTreeMap<(Hook, BreachKind), u64>,
    /// Requests that went on without the program because its policy is open.
    pub skipped: u64,
    /// Requests that the program refused.
    pub rejected: u64,
    /// Times that the breaker stopped the program.
    pub suspensions: u64,
    /// Log lines that did not fit.
    pub log_lines_dropped: u64,
    /// Most linear memory that an instance held when its request ended.
    pub memory_bytes_peak: usize,
}

/// Calls of one hook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookCounter {
    /// How many.
    pub calls: u64,
    /// How long together, on the wall.
    pub time: Duration,
}

impl Counters {
    pub(crate) fn call(&mut self, hook: Hook, time: Duration) {
        let counter = self.hooks.entry(hook).or_default();
        counter.calls += 1;
        counter.time += time;
    }

    pub(crate) fn breach(&mut self, breach: &Breach) {
        *self.breaches.entry((breach.hook, breach.kind)).or_default() += 1;
    }

    /// All breaches together.
    pub fn breaches_total(&self) -> u64 {
        self.breaches.values().sum()
    }
}
