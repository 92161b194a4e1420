//! A program's say in the next token of one sequence. The step loop asks and goes on with the other sequences; a thread
//! beside it calls the guest; the answer lies here until the step loop comes for it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use realm_engine::engine::TokenId;
use realm_sandbox::{Breach, SharedRun, answer::Decision, wire::Step};

use super::logit_threads::{Job, LogitThreads};

/// Tells the step loop that there is an answer.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What a sequence's program decides on each choice of a token. For one sequence; a clone asks in the same instance.
#[derive(Clone)]
pub struct LogitHook {
    run: SharedRun,
    /// Names the tenant's program among all, so that no program has two threads.
    program: usize,
    top: usize,
    threads: LogitThreads,
    slot: Arc<Slot>,
    wake: Option<Wake>,
}

/// What a program decided, and when.
#[derive(Debug)]
pub struct Decided {
    /// The decision, or how it failed.
    pub decision: Result<Decision, Breach>,
    /// From the question to the answer.
    pub took: Duration,
}

/// Where an answer lies until it is taken.
#[derive(Debug, Default)]
struct Slot(Mutex<Option<Decided>>);

impl LogitHook {
    /// Asks that run, which shows `top` candidates; `program` names the program among all.
    pub fn new(run: SharedRun, program: usize, top: usize, threads: LogitThreads) -> Self {
        Self { run, program, top, threads, slot: Arc::default(), wake: None }
    }

    /// Has the step loop told of answers.
    pub fn wake_with(&mut self, wake: Wake) {
        self.wake = Some(wake);
    }

    /// Candidates that the program sees.
    pub fn top(&self) -> usize {
        self.top
    }

    /// Asks about candidates, likeliest first. Returns at once.
    pub fn ask(&self, step: Step, candidates: &[(TokenId, f32)]) {
        let asked = Instant::now();
        let (ids, logits): (Vec<_>, Vec<_>) = candidates.iter().copied().unzip();
        let (run, slot, wake) = (self.run.clone(), Arc::clone(&self.slot), self.wake.clone());
        let work = move |alive: bool| {
            let decision = if alive {
                run.lock().on_logits(step, ids, logits)
            } else {
                Err(Breach::host(realm_sandbox::Hook::OnLogits, "the server is stopping"))
            };
            slot.put(Decided { decision, took: asked.elapsed() });
            if let Some(wake) = wake {
                wake();
            }
        };
        self.threads.push(self.program, Job::new(work));
    }

    /// Whether the answer to the last question is there.
    pub fn has_answer(&self) -> bool {
        self.slot.lock().is_some()
    }

    /// The answer to the last question, when it is there; once.
    pub fn take(&self) -> Option<Decided> {
        self.slot.lock().take()
    }
}

impl Slot {
    fn put(&self, decided: Decided) {
        *self.lock() = Some(decided);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Decided>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LogitHook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LogitHook").field("top", &self.top).finish_non_exhaustive()
    }
}
