//! Time that a tenant's hooks may take within a minute: a bucket that refills evenly. Many short requests, each below its
//! deadline, end here.

use std::time::Duration;

const MINUTE: Duration = Duration::from_mins(1);

/// The bucket.
#[derive(Debug)]
pub struct MinuteBudget {
    limit: Duration,
    left: Duration,
    debt: Duration,
    seen: Duration,
}

impl MinuteBudget {
    /// A full bucket.
    pub fn new(limit: Duration, now: Duration) -> Self {
        Self { limit, left: limit, debt: Duration::ZERO, seen: now }
    }

    /// Whether there is time left.
    pub fn admits(&mut self, now: Duration) -> bool {
        self.refill(now);
        !self.left.is_zero()
    }

    /// Takes what a hook took. What it took beyond the bucket is paid before the next may run.
    pub fn spend(&mut self, now: Duration, time: Duration) {
        self.refill(now);
        self.debt += time.saturating_sub(self.left);
        self.left = self.left.saturating_sub(time);
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.seen).min(MINUTE * 60);
        self.seen = self.seen.max(now);
        let mut earned = self.limit.mul_f64(passed.as_secs_f64() / MINUTE.as_secs_f64());
        let paid = earned.min(self.debt);
        self.debt -= paid;
        earned -= paid;
        self.left = (self.left + earned).min(self.limit);
    }
}
