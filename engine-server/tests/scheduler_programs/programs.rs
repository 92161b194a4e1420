//! Programs for sequences of the tests' scheduler: admitted by the real compiler's process, with a host that can hold a guest
//! in the middle of a hook.

use std::{
    ffi::OsString,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use realm_engine_server::program::{LogitHook, Programs};
use realm_sandbox::{
    Admission, Cache, Capability, Compiler, CompilerLimits, Engine, Host, Limits, Policies,
    Program, SharedRun, Terms,
    host::{Log, Metrics, SystemClock, Tokenizer},
    limits::{DEFAULT_WASM_BYTES, Deadlines},
    memory_store::MemoryStore,
    wire::LogLevel,
};
use tokio::sync::watch;

use crate::guests::{Guest, plain};

/// A guest that is held must not meet its deadline by that.
const HELD: Duration = Duration::from_mins(5);
/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(2);
const INSTANCES: u32 = 16;
const VOCABULARY: u32 = 258;

/// Holds whoever comes to it until it is opened.
#[derive(Clone)]
pub(crate) struct Gate {
    open: Arc<(Mutex<bool>, Condvar)>,
    arrivals: watch::Sender<usize>,
}

impl Gate {
    pub(crate) fn closed() -> Self {
        Self { open: Arc::default(), arrivals: watch::Sender::new(0) }
    }

    pub(crate) fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }

    /// Waits until a guest is held.
    pub(crate) async fn reached(&self) {
        let mut arrivals = self.arrivals.subscribe();
        let waiting = arrivals.wait_for(|count| *count > 0);
        tokio::time::timeout(PATIENCE, waiting).await.expect("a guest").unwrap();
    }
}

impl Log for Gate {
    fn emit(&self, _level: LogLevel, _message: &str) {
        self.arrivals.send_modify(|count| *count += 1);
        let held = |open: &mut bool| !*open;
        drop(self.open.1.wait_timeout_while(self.open.0.lock().unwrap(), HELD, held).unwrap());
    }
}

impl Metrics for Gate {
    fn add(&self, _name: &str, _value: f64) {}
}

struct Numbers;

impl Tokenizer for Numbers {
    fn encode(&self, _text: &str) -> Vec<u32> {
        Vec::new()
    }

    fn decode(&self, _tokens: &[u32]) -> Result<String, String> {
        Ok(String::new())
    }

    fn vocabulary_size(&self) -> u32 {
        VOCABULARY
    }
}

/// A sandbox, and the server's threads for questions.
pub(crate) struct Programmed {
    engine: Arc<Engine>,
    admission: Admission,
    programs: Programs,
    _folder: tempfile::TempDir,
}

impl Programmed {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Arc::new(Engine::new(INSTANCES).unwrap());
        let compiler = Compiler::new(
            env!("CARGO_BIN_EXE_realm"),
            [OsString::from("compile-program")],
            CompilerLimits::default(),
        );
        let cache = Cache::open(folder.path()).unwrap();
        let admission = Admission::new(Arc::clone(&engine), compiler, cache, DEFAULT_WASM_BYTES);
        Self { engine, admission, programs: Programs::default(), _folder: folder }
    }

    /// A hook of that guest in an instance of its own.
    pub(crate) fn hook(&self, guest: &Guest, top: usize) -> LogitHook {
        let open = Gate::closed();
        open.open();
        self.hook_at(guest, top, &open)
    }

    /// A hook that leaves each choice as it is, once the gate lets it through.
    pub(crate) fn gated_hook(&self, gate: &Gate) -> LogitHook {
        let logging = "(call $log (i32.const 1) (i32.const 0) (i32.const 1))";
        self.hook_at(&Guest::loud_logits(&format!("{logging} {}", plain())), 4, gate)
    }

    fn hook_at(&self, guest: &Guest, top: usize, gate: &Gate) -> LogitHook {
        let clock = Arc::new(SystemClock::default());
        let host = Host {
            tokenizer: Arc::new(Numbers),
            store: Arc::new(MemoryStore::new(clock.clone(), 1 << 10)),
            log: Arc::new(gate.clone()),
            metrics: Arc::new(gate.clone()),
            clock,
        };
        let terms = Terms {
            limits: Limits {
                deadlines: Deadlines::all(HELD),
                request_time: HELD,
                minute_time: HELD,
                ..Limits::default()
            },
            grants: Capability::ALL.into_iter().collect(),
            policies: Policies::default(),
        };
        let admitted = self.admission.admit(&guest.build()).unwrap();
        let program = Program::new(&self.engine, &admitted.artifact, terms, host).unwrap();
        let run = SharedRun::from(program.begin(7).unwrap());
        self.programs.logit_hook(&program, run, top).unwrap()
    }
}
