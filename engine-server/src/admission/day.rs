//! What was used of a limit per day. A day begins at 00:00 UTC; the time comes from the caller.

use std::time::Duration;

use jiff::Timestamp;

const DAY_SECONDS: i64 = 86_400;

/// Number of a day since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayNumber(i64);

impl DayNumber {
    /// The day of a time.
    pub fn of(now: Timestamp) -> Self {
        Self(now.as_second().div_euclid(DAY_SECONDS))
    }
}

/// What was used today.
#[derive(Debug, Clone, Default)]
pub struct Day {
    number: DayNumber,
    used: u64,
}

impl Day {
    /// Begins anew when the day is another one.
    pub fn flow(&mut self, now: Timestamp) {
        let number = DayNumber::of(now);
        if number != self.number {
            *self = Self { number, used: 0 };
        }
    }

    /// How many are left today.
    pub fn left(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.used)
    }

    /// Uses some, whether they are there or not.
    pub fn take(&mut self, count: u64) {
        self.used = self.used.saturating_add(count);
    }

    /// Gives back what was taken on a day and not used; what yesterday set aside is not today's.
    pub fn give(&mut self, taken_on: DayNumber, count: u64) {
        if taken_on == self.number {
            self.used = self.used.saturating_sub(count);
        }
    }

    /// Time until the next day begins.
    pub fn reset(now: Timestamp) -> Duration {
        let into = now.as_second().rem_euclid(DAY_SECONDS);
        Duration::from_secs((DAY_SECONDS - into).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_utc() {
        let evening: Timestamp = "2026-11-25T23:59:30Z".parse().unwrap();
        let midnight: Timestamp = "2026-11-26T00:00:00Z".parse().unwrap();
        let mut day = Day::default();
        day.flow(evening);
        day.take(70);
        assert_eq!((day.left(100), Day::reset(evening)), (30, Duration::from_secs(30)));
        day.take(50);
        assert_eq!(day.left(100), 0);
        day.flow(midnight);
        assert_eq!((day.left(100), Day::reset(midnight)), (100, Duration::from_hours(24)));
        day.take(10);
        day.give(DayNumber::of(evening), 10);
        assert_eq!(day.left(100), 90, "yesterday's");
        day.give(DayNumber::of(midnight), 10);
        assert_eq!(day.left(100), 100);
    }
}
