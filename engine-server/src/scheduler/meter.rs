//! What each tenant is given, as metrics: tokens as they are computed, and parts of the whole over a window of steps.

use std::collections::HashMap;

use crate::metrics::{Metrics, TenantLabels};

/// Steps of a window: some seconds of work, so that the gauge is calm and still says what happens now.
const WINDOW_STEPS: usize = 64;

/// Counts what steps compute.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Cost of what each was given in this window.
    given: HashMap<TenantLabels, u64>,
    /// Whose part of the last window was not 0.
    shown: Vec<TenantLabels>,
    steps: usize,
}

impl Meter {
    /// Notes tokens that a step computed for a tenant.
    pub(super) fn note(
        &mut self,
        metrics: &Metrics,
        labels: &TenantLabels,
        tokens: u64,
        cost: u64,
    ) {
        metrics.computed_tokens.get_or_create(labels).inc_by(tokens);
        match self.given.get_mut(labels) {
            Some(given) => *given += cost,
            None => drop(self.given.insert(labels.clone(), cost)),
        }
    }

    /// Ends a step, and the window when it is the last one of it.
    pub(super) fn end_step(&mut self, metrics: &Metrics) {
        self.steps += 1;
        if self.steps < WINDOW_STEPS {
            return;
        }
        self.steps = 0;
        for labels in self.shown.drain(..).filter(|labels| !self.given.contains_key(labels)) {
            metrics.batch_share.get_or_create(&labels).set(0.0);
        }
        let total = self.given.values().sum::<u64>().max(1);
        for (labels, given) in self.given.drain() {
            metrics.batch_share.get_or_create(&labels).set(given as f64 / total as f64);
            self.shown.push(labels);
        }
    }
}
