//! How many threads a job gets while neighbours want CPUs too.
//!
//! A helper that a neighbour has displaced in the middle of a task holds up the whole team for some milliseconds. When
//! waiting for such helpers takes a large share of the time, one thread fewer is faster: the operating system then gives
//! each of the others a CPU of its own. From time to time the team tries with one more. Pure: durations in, a number out.

use std::time::Duration;

/// Time in jobs after which the team judges.
const WINDOW: Duration = Duration::from_millis(40);
/// Windows in a row that must be bad while no neighbour is known: what comes and goes in between is not worth a change.
const BAD_WINDOWS: u32 = 2;
/// Percent of the time in jobs, spent on waiting, above which there is a thread too many.
const WAITING_TOO_MUCH_PERCENT: u32 = 25;
/// Percent below which neighbours are thought to be gone.
const WAITING_LITTLE_PERCENT: u32 = 8;
/// Time in jobs with a thread fewer before one more is tried; doubled each time that it was too many.
const FIRST_RETRY: Duration = Duration::from_millis(120);
const LAST_RETRY: Duration = Duration::from_secs(4);

/// Judges by the time that jobs take and how much of it is waiting.
#[derive(Debug)]
pub(super) struct Pace {
    /// Threads that are left out.
    fewer: usize,
    /// In the window: time in jobs, and of it the caller's waiting for helpers.
    worked: Duration,
    waited: Duration,
    /// Bad windows in a row.
    bad: u32,
    /// Time in jobs until one more is tried, and what it starts from.
    until_retry: Duration,
    retry: Duration,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            fewer: 0,
            worked: Duration::ZERO,
            waited: Duration::ZERO,
            bad: 0,
            until_retry: Duration::ZERO,
            retry: FIRST_RETRY,
        }
    }

    /// Of `most` threads, those that the next job should have; at least one.
    pub(super) fn threads(&self, most: usize) -> usize {
        most.saturating_sub(self.fewer).max(1)
    }

    /// Notes a job on all threads that the team may use, `most`, less those that are left out.
    pub(super) fn note(&mut self, job: Duration, waited: Duration, most: usize) {
        self.worked += job;
        self.waited += waited;
        if self.fewer > 0 {
            self.until_retry = self.until_retry.saturating_sub(job);
        }
        if self.worked >= WINDOW {
            self.judge(most);
            (self.worked, self.waited) = (Duration::ZERO, Duration::ZERO);
        }
    }

    fn judge(&mut self, most: usize) {
        let above = |percent: u32| self.waited * 100 > self.worked * percent;
        self.bad = if above(WAITING_TOO_MUCH_PERCENT) { self.bad + 1 } else { 0 };
        let suspected = self.retry > FIRST_RETRY;
        if self.bad >= if suspected { 1 } else { BAD_WINDOWS } && self.threads(most) > 1 {
            self.bad = 0;
            self.fewer += 1;
            self.until_retry = self.retry;
            self.retry = (self.retry * 2).min(LAST_RETRY);
        } else if self.bad == 0 && self.fewer > 0 && self.until_retry.is_zero() {
            self.fewer -= 1;
            self.until_retry = self.retry;
        } else if self.fewer == 0 && !above(WAITING_LITTLE_PERCENT) {
            self.retry = FIRST_RETRY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: Duration = Duration::from_micros(100);

    /// Runs jobs for a while; `waited` gives the waiting in percent for a number of threads. Returns the time in jobs at
    /// each number of threads.
    fn run(
        pace: &mut Pace,
        most: usize,
        time: Duration,
        waited: impl Fn(usize) -> u32,
    ) -> Vec<Duration> {
        let mut spent = vec![Duration::ZERO; most + 1];
        let mut left = time;
        while !left.is_zero() {
            let threads = pace.threads(most);
            pace.note(JOB, JOB * waited(threads) / 100, most);
            spent[threads] += JOB;
            left = left.saturating_sub(JOB);
        }
        spent
    }

    #[test]
    fn a_quiet_machine_keeps_all_threads() {
        let spent = run(&mut Pace::new(), 4, Duration::from_secs(5), |_| 5);
        assert_eq!(spent[4], Duration::from_secs(5));
    }

    #[test]
    fn a_short_disturbance_changes_nothing() {
        let mut pace = Pace::new();
        for _ in 0..20 {
            run(&mut pace, 4, WINDOW, |_| 60);
            let spent = run(&mut pace, 4, Duration::from_secs(1), |_| 5);
            assert_eq!(spent[4], Duration::from_secs(1));
        }
    }

    #[test]
    fn a_neighbour_costs_one_thread_and_few_trials() {
        let time = Duration::from_secs(20);
        let spent = run(&mut Pace::new(), 4, time, |threads| if threads > 3 { 50 } else { 3 });
        assert!(spent[3] > time * 93 / 100, "{spent:?}");
        assert_eq!(spent[1] + spent[2], Duration::ZERO);
    }

    #[test]
    fn all_threads_come_back_when_the_neighbour_has_gone() {
        let mut pace = Pace::new();
        run(&mut pace, 2, Duration::from_secs(10), |threads| if threads > 1 { 60 } else { 0 });
        let spent = run(&mut pace, 2, Duration::from_secs(10), |_| 2);
        assert!(spent[2] > Duration::from_secs(5), "{spent:?}");
        // And the next neighbour is noticed as soon as the first.
        let spent =
            run(&mut pace, 2, Duration::from_secs(1), |threads| if threads > 1 { 60 } else { 0 });
        assert!(spent[1] > Duration::from_millis(700), "{spent:?}");
    }

    #[test]
    fn one_thread_always_stays() {
        let mut pace = Pace::new();
        run(&mut pace, 3, Duration::from_secs(30), |_| 90);
        assert_eq!(pace.threads(3), 1);
        assert_eq!(pace.threads(1), 1);
    }
}
