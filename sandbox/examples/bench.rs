//! What the sandbox costs: `cargo run --release -p realm-sandbox --example bench`. Each line names the least, middle and
//! 99th of its samples and the target of the middle and the 99th. Use a quiet machine.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_collect,
    reason = "a benchmark that cannot run has nothing to report"
)]

#[path = "../tests/sandbox/guests.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod guests;

use std::{
    ffi::OsString,
    hint::black_box,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use realm_sandbox::{
    Admission, Cache, Compiler, CompilerLimits, Engine, Host, Limits, Program, Run, Terms,
    admission::child_main,
    host::{Log, Metrics, SystemClock, Tokenizer},
    limits::{DEFAULT_WASM_BYTES, Deadlines},
    memory_store::MemoryStore,
    wire::{Batch, LogLevel, Prompt, Request, Step},
};

use guests::{ANSWER, Guest, plain, storing};

const INSTANCES: u32 = 1100;
const IDLE: usize = 1000;
const COMPILE: &str = "compile";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|verb| verb == COMPILE) {
        return child_main(arguments);
    }
    let engine = Arc::new(Engine::new(INSTANCES).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let admission = admission(&engine, folder.path());
    println!("{:<44} {:>10} {:>10} {:>10}   target", "microseconds", "min", "median", "p99");
    hooks(&engine, &admission);
    kills(&engine, &admission);
    admissions(&admission);
    memory(&engine, &admission);
    ExitCode::SUCCESS
}

fn admission(engine: &Arc<Engine>, folder: &std::path::Path) -> Admission {
    let compiler = Compiler::new(
        std::env::current_exe().unwrap(),
        [OsString::from(COMPILE)],
        CompilerLimits::default(),
    );
    Admission::new(Arc::clone(engine), compiler, Cache::open(folder).unwrap(), DEFAULT_WASM_BYTES)
}

/// Calls into guests.
fn hooks(engine: &Arc<Engine>, admission: &Admission) {
    let filter = load(engine, admission, &Guest::filter(), &Limits::default());
    report("instance made and dropped", "5 / 10", 20_000, || drop(filter.begin(7)));
    report("instance, on-request with 2 KB, dropped", "15 / -", 20_000, || {
        drop(black_box(filter.begin(7).unwrap().on_request(request(), prompt())));
    });
    let mut run = filter.begin(7).unwrap();
    let mut tokens = 0;
    report("on-tokens, one token", "0.5 / -", 20_000, || {
        tokens += 1;
        let batch = Batch { first: tokens, tokens: vec![65], text: " word".to_owned(), woke: None };
        black_box(run.on_tokens(batch).unwrap());
    });
    let sampler = load(engine, admission, &sampler(), &Limits::default());
    for candidates in [64, 256, 1024] {
        let mut run = sampler.begin(7).unwrap();
        let (ids, logits): (Vec<u32>, Vec<f32>) =
            (0..candidates).map(|id| (id % 300, id as f32)).unzip();
        let target = if candidates == 64 { "1 / -" } else { "" };
        report(&format!("on-logits, {candidates} candidates"), target, 10_000, || {
            let step = Step { position: 1, last: 65, entropy: 0.5 };
            black_box(run.on_logits(step, ids.clone(), logits.clone()).unwrap());
        });
    }
}

/// Keeps the first candidates, by a mask of as many words as there are.
fn sampler() -> Guest {
    let body = format!(
        "(i64.store (i32.const 2048) (i64.const 255))
         (i32.store (i32.const {}) (i32.const 2048))
         (i32.store (i32.const {}) (i32.shr_u (i32.add (local.get 4) (i32.const 63)) (i32.const 6)))
         (global.set $bump (i32.const 65536))
         {}",
        ANSWER + 4,
        ANSWER + 8,
        storing(&[(ANSWER, 2)])
    );
    Guest::logits(&body)
}

/// How long past its deadline a guest that loops still runs.
fn kills(engine: &Arc<Engine>, admission: &Admission) {
    let endless = Guest::request("(loop $again (br $again)) (unreachable)");
    for millis in [1, 5, 10] {
        let deadline = Duration::from_millis(millis);
        let limits = Limits {
            deadlines: Deadlines { on_request: deadline, ..Deadlines::default() },
            ..Limits::default()
        };
        let samples = (0..200).map(|_| {
            // A program of its own each time: three faults stop one.
            let program = load(engine, admission, &endless, &limits);
            let mut run = program.begin(7).unwrap();
            let began = Instant::now();
            assert!(run.on_request(request(), prompt()).is_err());
            began.elapsed().saturating_sub(deadline)
        });
        let name = format!("a loop ends after its deadline of {millis} ms");
        print(&name, "10000 / 20000", samples.collect());
    }
}

/// A program of 20 KB, compiled and from the cache.
fn admissions(admission: &Admission) {
    let step = "(local.set 0 (i64.mul (i64.xor (local.get 0) (i64.const 12345)) (i64.add (local.get 0) (i64.const 3))))";
    let function = format!("(func (param i64) {})", step.repeat(20));
    let programs: Vec<Vec<u8>> = (0..10)
        .map(|number| {
            let items = function.repeat(60) + &format!("(func (drop (i32.const {number})))");
            Guest::request(&plain()).with(&items).build()
        })
        .collect();
    println!("  (the program has {} bytes)", programs[0].len());
    let compiled =
        programs.iter().map(|program| timed(|| assert!(!admission.admit(program).unwrap().cached)));
    print("admitted: looked at, compiled, cached", "100000 / -", compiled.collect());
    let cached = programs.iter().cycle().take(500);
    let cached = cached.map(|program| timed(|| assert!(admission.admit(program).unwrap().cached)));
    print("admitted from the cache", "1000 / -", cached.collect());
}

/// Memory that idle instances take.
fn memory(engine: &Arc<Engine>, admission: &Admission) {
    let programs: Vec<Arc<Program>> =
        (0..IDLE).map(|_| load(engine, admission, &Guest::filter(), &Limits::default())).collect();
    let before = resident_kib();
    let mut runs: Vec<Run> = programs.iter().map(|program| program.begin(7).unwrap()).collect();
    let idle = resident_kib();
    for run in &mut runs {
        run.on_request(request(), prompt()).unwrap().unwrap();
    }
    let called = resident_kib();
    println!(
        "{IDLE} instances, KiB each: idle {:.1}, after on-request {:.1}   target 64",
        (idle - before) / IDLE as f64,
        (called - before) / IDLE as f64
    );
}

fn report(name: &str, target: &str, count: usize, mut work: impl FnMut()) {
    (0..count / 10).for_each(|_| work());
    print(name, target, (0..count).map(|_| timed(&mut work)).collect());
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn print(name: &str, target: &str, mut samples: Vec<Duration>) {
    samples.sort_unstable();
    let at =
        |share: f64| samples[((samples.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!("{name:<44} {:>10.2} {:>10.2} {:>10.2}   {target}", at(0.0), at(0.5), at(0.99));
}

fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn load(
    engine: &Arc<Engine>,
    admission: &Admission,
    guest: &Guest,
    limits: &Limits,
) -> Arc<Program> {
    let admitted = admission.admit(&guest.build()).unwrap();
    let limits = Limits {
        minute_time: Duration::from_hours(1),
        request_time: Duration::from_hours(1),
        ..limits.clone()
    };
    let terms = Terms { limits, ..Terms::default() };
    Program::new(engine, &admitted.artifact, terms, host()).unwrap()
}

fn request() -> Request {
    Request {
        id: "req-1".to_owned(),
        model: "tiny".to_owned(),
        tenant: "acme".to_owned(),
        endpoint: "chat".to_owned(),
        headers: Vec::new(),
        max_tokens: 16,
        seed: 7,
    }
}

fn prompt() -> Prompt {
    Prompt::Text("Once upon a time".repeat(128))
}

/// A host whose every part does nothing: none is granted.
struct Nothing;

impl Tokenizer for Nothing {
    fn encode(&self, _text: &str) -> Vec<u32> {
        Vec::new()
    }

    fn decode(&self, _tokens: &[u32]) -> Result<String, String> {
        Ok(String::new())
    }

    fn vocabulary_size(&self) -> u32 {
        49_152
    }
}

impl Log for Nothing {
    fn emit(&self, _level: LogLevel, _message: &str) {}
}

impl Metrics for Nothing {
    fn add(&self, _name: &str, _value: f64) {}
}

fn host() -> Host {
    let clock = Arc::new(SystemClock::default());
    Host {
        tokenizer: Arc::new(Nothing),
        store: Arc::new(MemoryStore::new(clock.clone(), 1 << 20)),
        log: Arc::new(Nothing),
        metrics: Arc::new(Nothing),
        clock,
    }
}
