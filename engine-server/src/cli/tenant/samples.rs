//! Times of a hook's calls: bounded, and what is told of them.

use std::time::Duration;

use serde::Serialize;

/// Times that are kept for one hook; later ones take the place of earlier ones.
const MAX_SAMPLES: usize = 1 << 20;

/// Times of calls, in microseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    micros: Vec<f64>,
    calls: usize,
}

/// What is told of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Summary {
    /// How many calls.
    pub(super) calls: usize,
    /// Microseconds that half of them were within.
    pub(super) p50: f64,
    /// Microseconds that 99 of 100 were within.
    pub(super) p99: f64,
    /// The longest.
    pub(super) max: f64,
}

impl Samples {
    /// Notes a call.
    pub(super) fn add(&mut self, time: Duration) {
        let micros = time.as_secs_f64() * 1e6;
        if self.micros.len() < MAX_SAMPLES {
            self.micros.push(micros);
        } else {
            self.micros[self.calls % MAX_SAMPLES] = micros;
        }
        self.calls += 1;
    }

    /// The summary, if there was a call.
    pub(super) fn summary(&self) -> Option<Summary> {
        let mut sorted = self.micros.clone();
        sorted.sort_by(f64::total_cmp);
        let max = *sorted.last()?;
        // The least sample that so many of a hundred are within.
        let within = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        Some(Summary { calls: self.calls, p50: within(50), p99: within(99), max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_the_middle_and_the_tail() {
        assert_eq!(Samples::default().summary(), None);
        let mut samples = Samples::default();
        for micros in (1..=200).rev() {
            samples.add(Duration::from_micros(micros));
        }
        let Summary { calls, p50, p99, max } = samples.summary().unwrap();
        assert_eq!(calls, 200);
        let near = |found: f64, wanted: f64| (found - wanted).abs() < 0.01;
        assert!(near(p50, 100.0) && near(p99, 198.0) && near(max, 200.0), "{p50} {p99} {max}");
    }
}
