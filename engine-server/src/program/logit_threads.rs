//! The few threads on which programs are asked about candidates. Programs take turns, and none has two threads at once: one
//! that uses up its deadlines delays its own sequences and nobody else's while a thread is left.

use std::{
    collections::{HashMap, VecDeque},
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// Threads that ask programs about candidates. A question takes microseconds, and up to its deadline where a program is
/// slow: that many slow programs can be at work before others wait for them.
const LOGIT_THREADS: usize = 4;

/// A question; it is told whether the threads are still there. Each sequence has one at most, so that they are bounded by
/// the places of the batch and by those whose clients have just gone.
pub(super) struct Job(Box<dyn FnOnce(bool) + Send>);

/// Threads for questions. Cheap to clone; they end with the last of the clones.
#[derive(Clone)]
pub struct LogitThreads {
    shared: Arc<Shared>,
    _end: Arc<End>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    lines: HashMap<usize, Line>,
    /// Programs that have a question and no thread, in the order of their turns.
    turns: VecDeque<usize>,
    ended: bool,
}

/// What waits of one program.
#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    has_thread: bool,
}

/// Ends the threads.
struct End(Arc<Shared>);

impl Job {
    /// That work.
    pub(super) fn new(work: impl FnOnce(bool) + Send + 'static) -> Self {
        Self(Box::new(work))
    }
}

impl LogitThreads {
    /// Starts them.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let threads = Self { shared: Arc::clone(&shared), _end: Arc::new(End(shared)) };
        for number in 0..LOGIT_THREADS {
            let shared = Arc::clone(&threads.shared);
            let name = format!("realm-logits-{number}");
            thread::Builder::new().name(name).spawn(move || shared.work())?;
        }
        Ok(threads)
    }

    /// Puts a question at the end of its program's line.
    pub(super) fn push(&self, program: usize, job: Job) {
        let mut state = self.shared.lock();
        let line = state.lines.entry(program).or_default();
        line.jobs.push_back(job);
        if !line.has_thread && line.jobs.len() == 1 {
            state.turns.push_back(program);
            drop(state);
            self.shared.ready.notify_one();
        }
    }
}

impl Shared {
    /// One thread's life.
    fn work(&self) {
        while let Some((program, job)) = self.next() {
            // A question that panics leaves its sequence without an answer only if it had none to give; the sandbox turns
            // every way to fail into one.
            if catch_unwind(AssertUnwindSafe(|| (job.0)(true))).is_err() {
                tracing::error!("asking a program about candidates panicked");
            }
            self.done(program);
        }
    }

    /// Waits for the next question; none when the threads shall end.
    fn next(&self) -> Option<(usize, Job)> {
        let waits = |state: &mut State| !state.ended && state.turns.is_empty();
        let mut state =
            self.ready.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        let program = state.turns.pop_front()?;
        let line = state.lines.get_mut(&program)?;
        line.has_thread = true;
        line.jobs.pop_front().map(|job| (program, job))
    }

    /// Gives the program's thread back; what it has still waiting gets another turn.
    fn done(&self, program: usize) {
        let mut state = self.lock();
        let Some(line) = state.lines.get_mut(&program) else { return };
        line.has_thread = false;
        if line.jobs.is_empty() {
            state.lines.remove(&program);
        } else {
            state.turns.push_back(program);
            drop(state);
            self.ready.notify_one();
        }
    }

    /// No statement between two changes of the state can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for End {
    /// What still waits is told that nobody answers.
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        state.turns.clear();
        let lines = std::mem::take(&mut state.lines);
        drop(state);
        self.0.ready.notify_all();
        for job in lines.into_values().flat_map(|line| line.jobs) {
            (job.0)(false);
        }
    }
}

impl fmt::Debug for LogitThreads {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LogitThreads").finish_non_exhaustive()
    }
}
