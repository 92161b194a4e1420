//! What belongs to one request's instance: its limits, what it has used, and the handles that it may use.

use std::{
    fmt,
    time::{Duration, Instant},
};

use thiserror::Error;
use wasmtime::ResourceLimiter;

use crate::{
    breach::BreachKind,
    host::{Host, Inference},
    limits::{Limits, STARVATION, TICK},
    random::Stream,
};

/// The data of a store.
pub(crate) struct State {
    pub(crate) host: Host,
    pub(crate) limiter: Limiter,
    pub(crate) allowance: Allowance,
    pub(crate) random: Stream,
    /// The model, for an agent.
    pub(crate) agent: Option<Agent>,
    /// The running call.
    pub(crate) call: Call,
}

/// An agent's model and what it has used of it.
pub(crate) struct Agent {
    pub(crate) inference: Box<dyn Inference>,
    pub(crate) contexts: usize,
    pub(crate) tokens: u64,
}

/// A context of the model, as a resource type; its handles carry the host's number in a table of the store.
pub(crate) struct ModelContext;

/// What remains of a request's counts.
#[derive(Debug)]
pub(crate) struct Allowance {
    pub(crate) log_bytes: usize,
    pub(crate) log_dropped: u64,
    pub(crate) operations: u64,
    pub(crate) emitted: usize,
    operations_limit: u64,
    pub(crate) emitted_limit: usize,
    pub(crate) contexts_limit: usize,
    run_limit: Duration,
    pub(crate) tokens_limit: u64,
}

/// The call that runs: how long the guest may still take, and how long the host took within it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) began: Instant,
    /// Time that this thread had run by then.
    pub(crate) ran_before: Duration,
    pub(crate) deadline: Duration,
    pub(crate) in_host: Duration,
}

/// A host function refuses to go on.
#[derive(Debug, Clone, Error)]
#[error("{}", kind.name())]
pub(crate) struct Violation {
    pub(crate) kind: BreachKind,
    pub(crate) limit: u64,
    pub(crate) spent: u64,
    pub(crate) detail: String,
}

impl State {
    pub(crate) fn new(host: Host, limits: &Limits, seed: u64, agent: Option<Agent>) -> Self {
        Self {
            host,
            limiter: Limiter::new(limits),
            allowance: Allowance::new(limits),
            random: Stream::new(seed),
            agent,
            call: Call::begin(Duration::ZERO),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("State").field("allowance", &self.allowance).finish_non_exhaustive()
    }
}

impl Call {
    /// A call that begins now, on this thread.
    pub(crate) fn begin(deadline: Duration) -> Self {
        let (began, ran_before) = (Instant::now(), thread_time());
        Self { began, ran_before, deadline, in_host: Duration::ZERO }
    }

    /// Ticks that a guest gets whose deadline has passed on the wall: what it has not run of it, while it waits for a CPU.
    pub(crate) fn ticks_more(&self) -> Option<u64> {
        let spent = self.spent();
        let ran = thread_time().saturating_sub(self.ran_before).min(spent);
        let starved = (self.deadline + STARVATION).checked_sub(spent)?;
        let left = self.deadline.checked_sub(ran)?.min(starved);
        (!left.is_zero()).then(|| ticks(left))
    }

    /// Time that the guest itself has taken.
    pub(crate) fn spent(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.in_host)
    }

    /// Ticks until the guest's time is over; one more, because the current tick has partly passed.
    pub(crate) fn ticks_left(&self) -> u64 {
        ticks(self.deadline.saturating_sub(self.spent()))
    }
}

/// Time that this thread has run.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Ticks of the clock that surely cover a time.
pub(crate) fn ticks(time: Duration) -> u64 {
    time.as_micros().div_ceil(TICK.as_micros()) as u64 + 1
}

impl Allowance {
    fn new(limits: &Limits) -> Self {
        Self {
            log_bytes: limits.log_bytes,
            log_dropped: 0,
            operations: 0,
            emitted: 0,
            operations_limit: limits.operations,
            emitted_limit: limits.emitted_bytes,
            contexts_limit: limits.contexts,
            run_limit: limits.run_time,
            tokens_limit: limits.tokens,
        }
    }

    /// Ends a run that has lasted too long, the model's time included.
    pub(crate) fn still_in_time(&self, since: Instant) -> Result<(), Violation> {
        let spent = since.elapsed();
        if spent <= self.run_limit {
            return Ok(());
        }
        Err(Violation {
            kind: BreachKind::RunTime,
            limit: self.run_limit.as_micros() as u64,
            spent: spent.as_micros() as u64,
            detail: String::new(),
        })
    }

    /// Counts one call of a capability.
    pub(crate) fn operation(&mut self) -> Result<(), Violation> {
        self.operations += 1;
        if self.operations > self.operations_limit {
            return Err(Violation {
                kind: BreachKind::Operations,
                limit: self.operations_limit,
                spent: self.operations,
                detail: String::new(),
            });
        }
        Ok(())
    }
}

/// Refuses growth past the limits, and remembers what was refused.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: Meter,
    table: Meter,
    pub(crate) denied: Option<(BreachKind, u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Meter {
    used: usize,
    limit: usize,
    last: usize,
}

impl Limiter {
    fn new(limits: &Limits) -> Self {
        Self {
            memory: Meter { used: 0, limit: limits.memory_bytes, last: 0 },
            table: Meter { used: 0, limit: limits.table_elements, last: 0 },
            denied: None,
        }
    }

    /// Linear memory that the instance holds.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.used
    }
}

impl Meter {
    fn grow(&mut self, current: usize, desired: usize) -> Result<(), usize> {
        let more = desired.saturating_sub(current);
        let wanted = self.used.saturating_add(more);
        if wanted > self.limit {
            return Err(wanted);
        }
        self.used = wanted;
        self.last = more;
        Ok(())
    }

    /// What was allowed did not happen.
    fn undo(&mut self) {
        self.used = self.used.saturating_sub(std::mem::take(&mut self.last));
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self.memory.grow(current, desired);
        if let Err(wanted) = grown {
            self.denied = Some((BreachKind::Memory, self.memory.limit as u64, wanted as u64));
        }
        Ok(grown.is_ok())
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.undo();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self.table.grow(current, desired);
        if let Err(wanted) = grown {
            self.denied = Some((BreachKind::Table, self.table.limit as u64, wanted as u64));
        }
        Ok(grown.is_ok())
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.table.undo();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that began so long ago on the wall, on a thread that has hardly run since.
    fn call(ago: Duration) -> Call {
        let deadline = Duration::from_secs(1);
        Call {
            began: Instant::now().checked_sub(ago).unwrap_or_else(Instant::now),
            ..Call::begin(deadline)
        }
    }

    #[test]
    fn a_guest_that_waited_for_a_cpu_gets_what_it_has_not_run_of_its_time() {
        let late = call(Duration::from_millis(1010));
        let more = late.ticks_more().expect("more time");
        let starved = ticks(STARVATION);
        assert!((1..=starved).contains(&more), "{more} of {starved}");
        let starved = call(Duration::from_secs(1) + STARVATION);
        assert_eq!(starved.ticks_more(), None, "not for ever");
        let ran = Call { deadline: Duration::ZERO, ..call(Duration::from_millis(1)) };
        assert_eq!(ran.ticks_more(), None, "it has run all of it");
    }
}
