//! Delays that grow while something keeps failing, with jitter, one row for each object.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hash},
    sync::Mutex,
    time::Duration,
};

/// Objects that are remembered; beyond it the table starts anew, which only shortens delays.
const ROWS_MAX: usize = 16_384;

/// Growing delays by key.
#[derive(Debug)]
pub struct Backoff<K> {
    first: Duration,
    longest: Duration,
    attempts: Mutex<HashMap<K, u32>>,
    jitter: RandomState,
}

impl<K: Hash + Eq> Backoff<K> {
    /// Delays that start at `first` and double up to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempts: Mutex::default(), jitter: RandomState::new() }
    }

    /// The next delay of `key`: between half and all of the doubled one.
    pub fn next(&self, key: K) -> Duration {
        let mut attempts = self.attempts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if attempts.len() >= ROWS_MAX {
            attempts.clear();
        }
        let noise = self.jitter.hash_one(&key);
        let attempt = attempts.entry(key).or_default();
        let doubled = self
            .first
            .saturating_mul(1_u32.checked_shl(*attempt).unwrap_or(u32::MAX))
            .min(self.longest);
        let noise = noise.rotate_left(attempt.wrapping_mul(7)) % 512;
        *attempt = attempt.saturating_add(1).min(31);
        doubled / 2 + doubled * (noise as u32) / 1024
    }

    /// Forgets `key`, so that its next delay is the first one again.
    pub fn reset(&self, key: &K) {
        self.attempts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_stay_bounded_and_start_anew() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));
        for attempt in 0..100_u32 {
            let full = Duration::from_secs(1 << attempt.min(6)).min(Duration::from_mins(1));
            let delay = backoff.next("a");
            assert!(delay >= full / 2 && delay <= full, "attempt {attempt}: {delay:?} of {full:?}");
        }
        backoff.reset(&"a");
        assert!(backoff.next("a") <= Duration::from_secs(1));
    }
}
