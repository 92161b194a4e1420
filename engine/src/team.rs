//! The threads that compute a step together: the caller and its helpers, kept from job to job.
//!
//! A job is a number of tasks. Whoever is free takes the next one from a counter, so a thread that loses its CPU to a
//! neighbour holds up one task and not its share. Helpers wait for the next job by spinning briefly, since a step is a
//! few hundred short jobs, and then park. The caller never waits for a helper that has not begun: it closes the job
//! when no task is left and waits only for tasks that are running.
#![expect(
    unsafe_code,
    reason = "helpers run borrowed closures and write disjoint parts of a slice; the job protocol below keeps both alive"
)]

mod count;
mod pace;

use std::{
    any::Any,
    cell::UnsafeCell,
    io,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

pub use self::count::ThreadCount;
use self::pace::Pace;

/// Looks at the state before a helper parks: about 100 microseconds.
const SPINS_BEFORE_PARK: u32 = 4000;
/// Looks at the state before a waiting caller lets others have its CPU: about 5 microseconds.
const SPINS_BEFORE_YIELD: u32 = 200;
/// Yields before a waiting caller sleeps, so that a helper that a neighbour has displaced finds a free CPU: about 20
/// microseconds.
const YIELDS_BEFORE_SLEEP: u32 = 20;

/// A set bit of the state: the job takes helpers. Below it stands the number of helpers inside, above it the job.
const OPEN: u64 = 1 << 15;
const NEXT_JOB: u64 = 1 << 16;

type Work<'w> = dyn Fn(usize, usize) + Sync + 'w;

/// Threads that run the tasks of one job at a time.
#[derive(Debug)]
pub struct Team {
    shared: Arc<Shared>,
    helpers: Vec<Helper>,
    /// Held by the caller of the running job.
    caller: Mutex<Pace>,
    /// Threads that jobs use, the caller among them; at most all.
    active: usize,
}

#[derive(Debug)]
struct Helper {
    thread: Thread,
    join: Option<JoinHandle<()>>,
    parked: Arc<Line<AtomicBool>>,
}

/// Keeps what one thread writes often apart from what others read.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

#[derive(Debug)]
struct Shared {
    state: Line<AtomicU64>,
    next: Line<AtomicUsize>,
    job: UnsafeCell<Job>,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// The caller sleeps until nobody is inside.
    asleep: AtomicBool,
    sleeper: Mutex<Option<Thread>>,
}

#[derive(Clone, Copy)]
struct Job {
    work: *const Work<'static>,
    tasks: usize,
    /// Members with a number below it take part.
    members: usize,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Job").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

// SAFETY: `job` is written only while the job is closed and no helper is inside, and read only by helpers inside an
// open job; `state` orders the two. Its closure is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer inside is used only while the caller that gave it waits.
unsafe impl Send for Shared {}

impl Team {
    /// Starts `threads - 1` helpers; the caller of a job is the last member. WebAssembly has no threads to start: there
    /// the caller is alone.
    ///
    /// # Errors
    /// The operating system's, when it starts no more threads.
    pub fn new(threads: NonZeroUsize) -> io::Result<Self> {
        if cfg!(target_family = "wasm") {
            return Ok(Self::solo());
        }
        let shared = Arc::new(Shared::new());
        let mut team = Self {
            shared,
            helpers: Vec::new(),
            caller: Mutex::new(Pace::new()),
            active: threads.get(),
        };
        for member in 1..threads.get() {
            team.helpers.push(Helper::start(member, &team.shared)?);
        }
        Ok(team)
    }

    /// The caller alone.
    pub fn solo() -> Self {
        Self {
            shared: Arc::new(Shared::new()),
            helpers: Vec::new(),
            caller: Mutex::new(Pace::new()),
            active: 1,
        }
    }

    /// Threads that jobs use.
    pub fn threads(&self) -> usize {
        self.active
    }

    /// Members that there can be: what was started, however many jobs use now.
    pub fn members(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Uses so many threads from the next job on, and starts those that are missing; the others stay parked. Where the
    /// operating system starts no more, the team goes on with what it has.
    pub fn resize(&mut self, threads: NonZeroUsize) {
        while self.members() < threads.get() && !cfg!(target_family = "wasm") {
            let Ok(helper) = Helper::start(self.members(), &self.shared) else { break };
            self.helpers.push(helper);
        }
        self.active = threads.get().min(self.members());
    }

    /// Calls `work(task, member)` once for each task below `tasks`; members are numbered from 0, and no two tasks run
    /// at once with the same member number. A job inside a job, or beside one, runs on its caller alone, as member 0 of
    /// its own.
    ///
    /// # Panics
    /// With the panic of a task, after all tasks that had begun are over.
    pub fn run(&self, tasks: usize, work: impl Fn(usize, usize) + Sync) {
        let most = self.threads();
        let guard = if most.min(tasks) < 2 { None } else { self.enter() };
        let Some(mut pace) = guard else {
            (0..tasks).for_each(|task| work(task, 0));
            return;
        };
        let started = Instant::now();
        self.open(&work, tasks, pace.threads(most).min(tasks));
        let mine = catch_unwind(AssertUnwindSafe(|| self.shared.take_tasks(&work, tasks, 0)));
        let waited = self.shared.close();
        pace.note(started.elapsed(), waited, most);
        let theirs = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(payload) = mine.err().or(theirs) {
            drop(pace);
            resume_unwind(payload);
        }
    }

    /// Cuts `output` into parts of `part` elements, the last one perhaps shorter, and calls `work(index, part, member)`
    /// for each as [`Self::run`] does.
    pub fn each_part<T: Send>(
        &self,
        output: &mut [T],
        part: usize,
        work: impl Fn(usize, &mut [T], usize) + Sync,
    ) {
        let (part, len) = (part.max(1), output.len());
        let start = Start(output.as_mut_ptr());
        self.run(len.div_ceil(part), |index, member| {
            let first = index * part;
            // SAFETY: each index runs once, so the parts are disjoint and inside `output`, which is borrowed for the
            // whole job.
            let part = unsafe {
                std::slice::from_raw_parts_mut(start.get().add(first), part.min(len - first))
            };
            work(index, part, member);
        });
    }

    fn enter(&self) -> Option<std::sync::MutexGuard<'_, Pace>> {
        match self.caller.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Opens a job. Whoever calls closes it before `work` goes, and lets nothing unwind before that.
    fn open(&self, work: &Work<'_>, tasks: usize, members: usize) {
        #[expect(
            clippy::transmute_ptr_to_ptr,
            reason = "a cast cannot lengthen the lifetime of a trait object"
        )]
        // SAFETY: only the lifetime changes. The caller closes the job before `work` goes; panics of tasks are caught until then.
        let work = unsafe {
            std::mem::transmute::<*const Work<'_>, *const Work<'static>>(std::ptr::from_ref(work))
        };
        // SAFETY: the job before is closed and nobody is inside; the caller's lock is held.
        unsafe { *self.shared.job.get() = Job { work, tasks, members } };
        self.shared.next.0.store(0, Ordering::Relaxed);
        let state = self.shared.state.0.load(Ordering::Relaxed);
        self.shared.state.0.store((state + NEXT_JOB) | OPEN, Ordering::SeqCst);
        for helper in self.helpers.iter().take(members - 1) {
            if helper.parked.0.load(Ordering::SeqCst) {
                helper.thread.unpark();
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for helper in &mut self.helpers {
            helper.thread.unpark();
            if let Some(join) = helper.join.take() {
                // A helper catches the panics of tasks; there is nothing to report.
                let _ = join.join();
            }
        }
    }
}

/// The start of a slice whose parts go to different threads.
struct Start<T>(*mut T);

impl<T> Start<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

// SAFETY: the parts are disjoint, and `T` may be sent.
unsafe impl<T: Send> Sync for Start<T> {}

impl Shared {
    fn new() -> Self {
        let nothing: &'static Work<'static> = &|_, _| {};
        Self {
            state: Line::default(),
            next: Line::default(),
            job: UnsafeCell::new(Job { work: nothing, tasks: 0, members: 0 }),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
            asleep: AtomicBool::new(false),
            sleeper: Mutex::new(None),
        }
    }

    /// Ends a job: lets nobody in any more and waits for those inside; returns how long beyond a moment.
    fn close(&self) -> Duration {
        let state = &self.state.0;
        state.fetch_and(!OPEN, Ordering::AcqRel);
        let inside = || state.load(Ordering::Acquire) & (OPEN - 1) != 0;
        for _ in 0..SPINS_BEFORE_YIELD {
            if !inside() {
                return Duration::ZERO;
            }
            std::hint::spin_loop();
        }
        let since = Instant::now();
        for _ in 0..YIELDS_BEFORE_SLEEP {
            if !inside() {
                return since.elapsed();
            }
            thread::yield_now();
        }
        while inside() {
            self.sleep();
        }
        since.elapsed()
    }

    /// Sleeps until a helper has left.
    fn sleep(&self) {
        *self.sleeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
        self.asleep.store(true, Ordering::SeqCst);
        // Who left before the flag was up woke nobody.
        if self.state.0.load(Ordering::SeqCst) & (OPEN - 1) != 0 {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// A helper leaves the job; the last one wakes a caller who sleeps.
    fn leave(&self) {
        self.state.0.fetch_sub(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            let sleeper = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(sleeper) = sleeper {
                sleeper.unpark();
            }
        }
    }

    fn take_tasks(&self, work: &Work<'_>, tasks: usize, member: usize) {
        loop {
            let task = self.next.0.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return;
            }
            work(task, member);
        }
    }

    /// Helps with the open job unless its number is `served`; returns the number of the job it saw.
    fn help(&self, member: usize, served: u64) -> u64 {
        let seen = self.state.0.load(Ordering::SeqCst);
        if seen & OPEN == 0 || seen / NEXT_JOB == served {
            return served;
        }
        if self
            .state
            .0
            .compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
        {
            return served;
        }
        // SAFETY: this helper counts as inside, so the caller neither changes the job nor returns.
        let job = unsafe { *self.job.get() };
        if member < job.members {
            // SAFETY: as above, the closure lives.
            let work = unsafe { &*job.work };
            let done = catch_unwind(AssertUnwindSafe(|| self.take_tasks(work, job.tasks, member)));
            if let Err(payload) = done {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
            }
        }
        self.leave();
        seen / NEXT_JOB
    }
}

impl Helper {
    fn start(member: usize, shared: &Arc<Shared>) -> io::Result<Self> {
        let parked = Arc::new(Line::default());
        let (theirs, flag) = (Arc::clone(shared), Arc::clone(&parked));
        let join = thread::Builder::new()
            .name(format!("realm-engine-{member}"))
            .spawn(move || helper(&theirs, &flag.0, member))?;
        Ok(Self { thread: join.thread().clone(), join: Some(join), parked })
    }
}

fn helper(shared: &Shared, parked: &AtomicBool, member: usize) {
    let mut served = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let mut looks = 0;
        while looks < SPINS_BEFORE_PARK {
            let now = shared.help(member, served);
            looks = if now == served { looks + 1 } else { 0 };
            served = now;
            std::hint::spin_loop();
        }
        parked.store(true, Ordering::SeqCst);
        // A job opened before the flag was up woke nobody, so look once more before sleeping.
        let now = shared.help(member, served);
        if now == served && !shared.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        parked.store(false, Ordering::SeqCst);
        served = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(threads: usize) -> Team {
        Team::new(NonZeroUsize::new(threads).unwrap()).unwrap()
    }

    #[test]
    fn every_task_of_every_job_runs_once() {
        for threads in [1, 2, 3, 5] {
            let team = team(threads);
            for tasks in [0, 1, 2, 7, 100] {
                for _ in 0..200 {
                    let counts: Vec<AtomicUsize> =
                        (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                    team.run(tasks, |task, member| {
                        assert!(member < threads);
                        counts[task].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
                }
            }
        }
    }

    #[test]
    fn helpers_come_back_after_they_parked() {
        let team = team(2);
        let parked = || team.helpers.iter().all(|helper| helper.parked.0.load(Ordering::SeqCst));
        for _ in 0..3 {
            while !parked() {
                thread::yield_now();
            }
            // Two tasks that wait for one another end only when two threads run them.
            let arrived = AtomicUsize::new(0);
            team.run(2, |_, _| {
                arrived.fetch_add(1, Ordering::SeqCst);
                while arrived.load(Ordering::SeqCst) < 2 {
                    thread::yield_now();
                }
            });
        }
    }

    #[test]
    fn parts_cover_a_slice() {
        let mut numbers = vec![0_usize; 103];
        team(3).each_part(&mut numbers, 10, |index, part, _| {
            part.iter_mut().enumerate().for_each(|(at, number)| *number = index * 10 + at);
        });
        assert!(numbers.iter().enumerate().all(|(at, &number)| at == number));
    }

    #[test]
    fn a_job_inside_a_job_runs_on_its_caller() {
        let team = team(2);
        let count = AtomicUsize::new(0);
        team.run(4, |_, _| {
            team.run(5, |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(count.into_inner(), 20);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let team = team(2);
        for _ in 0..20 {
            let failed = catch_unwind(AssertUnwindSafe(|| {
                team.run(8, |task, _| assert_ne!(task, 5));
            }));
            assert!(failed.is_err());
            let count = AtomicUsize::new(0);
            team.run(8, |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 8);
        }
    }

    #[test]
    fn a_team_shrinks_and_grows() {
        let mut team = team(2);
        team.resize(NonZeroUsize::MIN);
        team.run(50, |_, member| assert_eq!(member, 0));
        team.resize(NonZeroUsize::new(4).unwrap());
        assert_eq!((team.threads(), team.members()), (4, 4));
        // Four tasks that wait for one another end only when four threads run them.
        let arrived = AtomicUsize::new(0);
        team.run(4, |_, member| {
            assert!(member < 4);
            arrived.fetch_add(1, Ordering::SeqCst);
            while arrived.load(Ordering::SeqCst) < 4 {
                thread::yield_now();
            }
        });
    }
}
