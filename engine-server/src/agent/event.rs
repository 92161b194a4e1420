//! What passes between an agent and those that it works for.

use realm_sandbox::{Breach, plan::Reject};
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
