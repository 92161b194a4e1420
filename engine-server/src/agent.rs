//! Agents: tenants' programs that drive generation themselves. Each runs on a thread of its own, which waits for the
//! scheduler and for the client and never makes either of them wait. What an agent generates are ordinary sequences of
//! its tenant, one at a time, so that shares, budgets and the reuse of what the tenant has computed hold as for
//! everybody; what it says reaches the client through a channel, whose end it learns at its next call.

mod event;
mod order;
mod purse;
mod session;
mod span;
mod voice;

use std::{sync::Arc, thread};

use realm_sandbox::{Breach, BreachKind, Hook};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use event::AgentEvent;
use event::{Clock, Signals};
pub use order::{AgentOrder, Workshop};
use purse::Purse;
use session::Session;
use voice::{Ending, Outlet};

/// Agents of all tenants at once: each has a thread.
pub const MAX_AGENTS: usize = 256;
/// Texts that wait for the client; an agent that sends more waits, too.
const UNREAD_TEXTS: usize = 64;

/// The places of agents. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Agents {
    places: Arc<Semaphore>,
}

/// What a running agent says; dropping it tells the agent that nobody listens.
#[derive(Debug)]
pub struct AgentEvents {
    receiver: mpsc::Receiver<AgentEvent>,
    _listening: DropGuard,
}

impl AgentEvents {
    /// The next; `None` after the last, and when the agent's thread is gone.
    pub async fn next(&mut self) -> Option<AgentEvent> {
        self.receiver.recv().await
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_AGENTS)) }
    }
}

impl Agents {
    /// Starts an agent. Fails when too many run.
    pub fn start(&self, order: AgentOrder, workshop: Workshop) -> Result<AgentEvents, Breach> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let gone = CancellationToken::new();
        let signals = Signals { over: gone.child_token(), gone: gone.clone() };
        let (sender, receiver) = mpsc::channel(UNREAD_TEXTS);
        let clock = Clock {
            limit: order.program.limits().run_time,
            over: signals.over.clone(),
            runtime: Handle::current(),
        };
        let work = move || perform(order, workshop, sender, signals, clock, place);
        thread::Builder::new().name("realm-agent".into()).spawn(work).map_err(|error| {
            tracing::error!(%error, "no thread for an agent");
            busy()
        })?;
        Ok(AgentEvents { receiver, _listening: gone.drop_guard() })
    }
}

fn busy() -> Breach {
    let (kind, detail) = (BreachKind::Busy, String::new());
    Breach { hook: Hook::Start, kind, limit: 0, spent: 0, detail }
}

/// An agent's thread, from its start to its last word.
fn perform(
    order: AgentOrder,
    workshop: Workshop,
    sender: mpsc::Sender<AgentEvent>,
    signals: Signals,
    clock: Clock,
    place: OwnedSemaphorePermit,
) {
    let _ended = signals.over.clone().drop_guard();
    let AgentOrder { program, request, prompt, prompt_tokens, sampling, stop, .. } = order;
    let purse = Purse::new(order.lease, prompt_tokens, order.max_tokens, &workshop);
    let outlet = Outlet::new(sender, signals.clone(), stop);
    let parts = session::Parts {
        tenant: order.tenant,
        context_length: order.context_length,
        sampling,
        workshop,
        purse: Arc::clone(&purse),
        outlet: Arc::clone(&outlet),
        signals,
    };
    let session = Session::new(parts, clock);
    let outcome = program
        .begin_agent(request.seed, Box::new(session))
        .and_then(|mut run| run.run(request, prompt));
    let ending = match outcome {
        Ok(Ok(result)) => Ending::Result(result),
        Ok(Err(reject)) => Ending::Refused(reject),
        Err(breach) => Ending::Broken(breach),
    };
    voice::lock(&outlet).end(ending, purse::lock(&purse).finish());
    drop(place);
}
