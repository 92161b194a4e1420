//! A token bucket for a limit per minute: it holds a minute's worth and fills evenly. Exact, in whole numbers; the time
//! comes from the caller.
//!
//! What was used is kept, not what is left: a limit that changes while the server runs applies at once. More may be used
//! than there is (an answer longer than what was set aside); that debt is worked off before anything new is granted.

use std::time::Duration;

use jiff::Timestamp;

const MINUTE_NANOS: u128 = 60_000_000_000;

/// What was used of a limit, running off with time.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    /// In units of 1/60,000,000,000, so that one nanosecond works off exactly `limit` of them.
    used: u128,
    seen: Option<Timestamp>,
}

impl Bucket {
    /// Lets the time since the last look run off. A clock that was set back gives nothing and takes nothing.
    pub fn flow(&mut self, limit: u32, now: Timestamp) {
        if let Some(seen) = self.seen {
            let passed = now.as_nanosecond() - seen.as_nanosecond();
            let passed = u128::try_from(passed).unwrap_or(0);
            self.used = self.used.saturating_sub(passed.saturating_mul(u128::from(limit)));
        }
        self.seen = Some(now);
    }

    /// How many are left.
    pub fn left(&self, limit: u32) -> u64 {
        let all = u128::from(limit) * MINUTE_NANOS;
        (all.saturating_sub(self.used) / MINUTE_NANOS) as u64
    }

    /// Time until `count` are left, at most a whole bucket of them.
    pub fn wait(&self, limit: u32, count: u64) -> Duration {
        let kept = u128::from(limit).saturating_sub(u128::from(count)) * MINUTE_NANOS;
        nanos(self.used.saturating_sub(kept).div_ceil(u128::from(limit.max(1))))
    }

    /// Time until the bucket is full.
    pub fn reset(&self, limit: u32) -> Duration {
        nanos(self.used.div_ceil(u128::from(limit.max(1))))
    }

    /// Uses some, whether they are there or not.
    pub fn take(&mut self, count: u64) {
        self.used = self.used.saturating_add(u128::from(count) * MINUTE_NANOS);
    }

    /// Gives back what was taken and not used.
    pub fn give(&mut self, count: u64) {
        self.used = self.used.saturating_sub(u128::from(count) * MINUTE_NANOS);
    }
}

fn nanos(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000_000_000 + millis).unwrap()
    }

    #[test]
    fn a_minutes_worth_at_once_and_then_evenly() {
        let mut bucket = Bucket::default();
        bucket.flow(60, at(0));
        bucket.take(60);
        assert_eq!((bucket.left(60), bucket.wait(60, 1)), (0, Duration::from_secs(1)));
        assert_eq!(bucket.reset(60), Duration::from_mins(1));
        bucket.flow(60, at(999));
        assert_eq!((bucket.left(60), bucket.wait(60, 1)), (0, Duration::from_millis(1)));
        bucket.flow(60, at(1000));
        assert_eq!((bucket.left(60), bucket.wait(60, 1)), (1, Duration::ZERO));
        bucket.flow(60, at(600_000));
        assert_eq!((bucket.left(60), bucket.reset(60)), (60, Duration::ZERO));
    }

    #[test]
    fn nothing_is_lost_between_many_looks() {
        let mut bucket = Bucket::default();
        bucket.flow(7, at(0));
        bucket.take(7);
        let mut granted = 0;
        for milli in 1..=120_000 {
            bucket.flow(7, at(milli));
            if bucket.left(7) > 0 {
                bucket.take(1);
                granted += 1;
            }
        }
        assert_eq!(granted, 14, "two minutes of seven");
    }

    #[test]
    fn a_debt_is_worked_off_first() {
        let mut bucket = Bucket::default();
        bucket.flow(60, at(0));
        bucket.take(90);
        assert_eq!((bucket.left(60), bucket.wait(60, 1)), (0, Duration::from_secs(31)));
        bucket.give(90);
        assert_eq!(bucket.left(60), 60);
        bucket.give(5);
        assert_eq!(bucket.left(60), 60, "never more than a bucket");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_it() {
        let mut bucket = Bucket::default();
        bucket.flow(60, at(3_600_000));
        bucket.take(60);
        bucket.flow(60, at(0));
        assert_eq!(bucket.left(60), 0);
        bucket.flow(60, at(2000));
        assert_eq!(bucket.left(60), 2);
    }

    #[test]
    fn a_changed_limit_applies_to_what_was_used() {
        let mut bucket = Bucket::default();
        bucket.flow(60, at(0));
        bucket.take(60);
        assert_eq!(bucket.left(100), 40);
        assert_eq!((bucket.left(10), bucket.wait(10, 1)), (0, Duration::from_secs(306)));
    }
}
