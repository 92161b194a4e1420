//! What passes between an agent and those that it works for.

use std::time::Duration;

use realm_sandbox::{Breach, plan::Reject};
use tokio::{runtime::Handle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::scheduler::event::Finish;

/// Something that an agent says. `Ended`, `Broken` or `Refused` is the last.
#[derive(Debug)]
pub enum AgentEvent {
    /// More of the answer.
    Text(String),
    /// The answer is this, and not what was said before.
    Instead(String),
    /// The answer is whole.
    Ended(Finish),
    /// The program failed.
    Broken(Breach),
    /// The program refuses the request.
    Refused(Reject),
}

/// Signals between an agent and those that it works for.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    /// Nobody listens any more.
    pub(super) gone: CancellationToken,
    /// Nothing is to be waited for any more: nobody listens, or the time of the run is over.
    pub(super) over: CancellationToken,
}

/// Ends what an agent waits for when the time of its run is over. The sandbox ends the run itself, by its own count from
/// when the run began; this one begins at the agent's first call, so that it is never early.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) limit: Duration,
    pub(super) over: CancellationToken,
    pub(super) runtime: Handle,
}

impl Clock {
    /// Begins to count.
    pub(super) fn start(self) {
        let Self { limit, over, runtime } = self;
        runtime.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = sleep(limit) => over.cancel(),
            }
        });
    }
}
