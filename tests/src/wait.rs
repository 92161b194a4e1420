//! The one way in which tests wait: for a condition, with a limit, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Time between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Looks until there is a value, an error, or the limit is over. `look` returns what it sees, so that the error can
/// say how far things were.
///
/// # Errors
/// The error of `look`, or the condition did not come true: with what was seen last.
pub fn await_condition<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Seen<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        let last = match look()? {
            Seen::Yes(value) => return Ok(value),
            Seen::NotYet(last) => last,
        };
        if start.elapsed() > limit {
            bail!("{what}: not within {} s; last seen: {last}", limit.as_secs());
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// What a look found.
#[derive(Debug)]
pub enum Seen<T> {
    /// The condition holds.
    Yes(T),
    /// It does not; this is what is there instead.
    NotYet(String),
}

impl Seen<()> {
    /// A condition without a value.
    pub fn when(holds: bool, otherwise: impl Into<String>) -> Self {
        if holds { Self::Yes(()) } else { Self::NotYet(otherwise.into()) }
    }
}
