//! Stops a program that fails again and again: three faults within a minute open the breaker for a while; then one
//! request may try, and its outcome decides.

use std::{collections::VecDeque, time::Duration};

/// Faults within [`WINDOW`] that stop a program.
pub const FAULTS: usize = 3;
/// Time in which faults are counted.
pub const WINDOW: Duration = Duration::from_mins(1);
/// Time that a program stays stopped before a request may try it.
pub const COOL_DOWN: Duration = Duration::from_secs(30);

/// Whether a program may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It runs.
    Healthy,
    /// It is stopped.
    Suspended,
    /// One request tries it.
    Probing,
}

/// Counts faults of one program. Times are of the host's clock, which never goes back.
#[derive(Debug)]
pub struct Breaker {
    faults: VecDeque<Duration>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Duration },
    HalfOpen { since: Duration },
}

impl Default for Breaker {
    fn default() -> Self {
        Self { faults: VecDeque::with_capacity(FAULTS), state: State::Closed }
    }
}

impl Breaker {
    /// Whether a request may use the program now. When the cool-down is over, one may; another after as long again, in
    /// case that one never said how it went.
    pub fn admit(&mut self, now: Duration) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } if now < until => false,
            State::HalfOpen { since } if now < since + COOL_DOWN => false,
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { since: now };
                true
            }
        }
    }

    /// A request's program ended well.
    pub fn succeeded(&mut self) {
        if let State::HalfOpen { .. } = self.state {
            self.faults.clear();
            self.state = State::Closed;
        }
    }

    /// The program failed by its own fault. Says whether this stopped it.
    pub fn failed(&mut self, now: Duration) -> bool {
        match self.state {
            State::Open { .. } => return false,
            State::HalfOpen { .. } => {
                self.state = State::Open { until: now + COOL_DOWN };
                return true;
            }
            State::Closed => {}
        }
        while self.faults.front().is_some_and(|fault| *fault + WINDOW <= now) {
            self.faults.pop_front();
        }
        self.faults.push_back(now);
        if self.faults.len() < FAULTS {
            return false;
        }
        self.faults.clear();
        self.state = State::Open { until: now + COOL_DOWN };
        true
    }

    /// How the program does.
    pub fn health(&self) -> Health {
        match self.state {
            State::Closed => Health::Healthy,
            State::Open { .. } => Health::Suspended,
            State::HalfOpen { .. } => Health::Probing,
        }
    }
}
