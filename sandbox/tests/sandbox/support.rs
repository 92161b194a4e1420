//! What tests share: an engine, a cache, a host that remembers, and a request.

use std::{
    ffi::OsString,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use realm_sandbox::{
    Admission, Breach, Cache, Capability, Compiler, CompilerLimits, Engine, FailurePolicy, Grants,
    Host, Limits, LoadError, Policies, Program, Terms,
    host::{Clock, Log, Metrics, SystemClock, Tokenizer},
    limits::{DEFAULT_WASM_BYTES, Deadlines},
    memory_store::MemoryStore,
    wire::{LogLevel, Prompt, Request},
};

use crate::guests::Guest;

/// A hook that is ended must end within this on a machine that does other things, too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// Instances at once in tests.
const INSTANCES: u32 = 64;
/// Bytes of a test tenant's store.
const STORE_BYTES: usize = 256 << 10;

/// One engine for all tests of the process.
pub(crate) fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    Arc::clone(ENGINE.get_or_init(|| Arc::new(Engine::new(INSTANCES).unwrap())))
}

/// The compiler that this crate builds for tests.
pub(crate) fn compiler(limits: CompilerLimits) -> Compiler {
    let none: [OsString; 0] = [];
    Compiler::new(env!("CARGO_BIN_EXE_realm-sandbox-compiler"), none, limits)
}

/// An admission with a folder of its own, which ends with it.
pub(crate) fn admission() -> (Admission, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let limits = CompilerLimits::default();
    (Admission::new(engine(), compiler(limits), cache, DEFAULT_WASM_BYTES), folder)
}

/// The shared admission, for tests that do not look into its folder.
fn shared_admission() -> &'static Admission {
    static SHARED: OnceLock<(Admission, tempfile::TempDir)> = OnceLock::new();
    &SHARED.get_or_init(admission).0
}

/// A byte is a token; the vocabulary has a few more tokens without text.
#[derive(Debug)]
pub(crate) struct Bytes;

pub(crate) const VOCABULARY: u32 = 300;

impl Tokenizer for Bytes {
    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn decode(&self, tokens: &[u32]) -> Result<String, String> {
        let bytes = tokens.iter().filter_map(|token| u8::try_from(*token).ok()).collect();
        String::from_utf8(bytes).map_err(|error| error.to_string())
    }

    fn vocabulary_size(&self) -> u32 {
        VOCABULARY
    }
}

/// Remembers what guests say.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) sums: Mutex<Vec<(String, f64)>>,
}

impl Log for Recorder {
    fn emit(&self, _level: LogLevel, message: &str) {
        self.lines.lock().unwrap().push(message.to_owned());
    }
}

impl Metrics for Recorder {
    fn add(&self, name: &str, value: f64) {
        self.sums.lock().unwrap().push((name.to_owned(), value));
    }
}

/// A clock that a test moves.
#[derive(Debug, Default)]
pub(crate) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(crate) fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now_ms())
    }
}

/// One tenant's side of the host.
pub(crate) struct Tenant {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Tenant {
    pub(crate) fn new() -> Self {
        Self::at(Arc::new(SystemClock::default()))
    }

    pub(crate) fn at(clock: Arc<dyn Clock>) -> Self {
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock), STORE_BYTES));
        Self { recorder: Arc::default(), store, clock }
    }

    pub(crate) fn host(&self) -> Host {
        Host {
            tokenizer: Arc::new(Bytes),
            store: self.store.clone(),
            log: self.recorder.clone(),
            metrics: self.recorder.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    pub(crate) fn load(&self, guest: &Guest, terms: Terms) -> Result<Arc<Program>, LoadError> {
        let admitted = shared_admission().admit(&guest.build()).unwrap();
        Program::new(&engine(), &admitted.artifact, terms, self.host())
    }
}

/// Every capability, and deadlines that a loaded machine does not reach by itself.
pub(crate) fn terms() -> Terms {
    Terms {
        limits: Limits {
            deadlines: Deadlines::all(Duration::from_millis(200)),
            request_time: Duration::from_secs(2),
            minute_time: Duration::from_hours(1),
            ..Limits::default()
        },
        grants: Capability::ALL.into_iter().collect(),
        policies: Policies::default(),
    }
}

/// The terms of the hostile: deadlines as they are in production.
pub(crate) fn strict() -> Terms {
    Terms {
        limits: Limits {
            deadlines: Deadlines { start: Duration::from_millis(5), ..Deadlines::default() },
            minute_time: Duration::from_hours(1),
            ..Limits::default()
        },
        ..terms()
    }
}

pub(crate) fn without_grants(terms: Terms) -> Terms {
    Terms { grants: Grants::NONE, ..terms }
}

pub(crate) fn open(terms: Terms) -> Terms {
    let policy = FailurePolicy::Open;
    let policies =
        Policies { on_request: policy, on_tokens: policy, on_logits: policy, on_response: policy };
    Terms { policies, ..terms }
}

/// A program of a tenant of its own.
pub(crate) fn program(guest: &Guest, terms: Terms) -> Arc<Program> {
    Tenant::new().load(guest, terms).unwrap()
}

pub(crate) fn request() -> Request {
    Request {
        id: "req-1".to_owned(),
        model: "tiny".to_owned(),
        tenant: "acme".to_owned(),
        endpoint: "chat".to_owned(),
        headers: vec![("x-realm-user".to_owned(), "ada".to_owned())],
        max_tokens: 16,
        seed: 7,
    }
}

pub(crate) fn prompt() -> Prompt {
    Prompt::Text("Once upon a time".to_owned())
}

/// Runs `on-request` once in a fresh instance.
pub(crate) fn ask(
    program: &Arc<Program>,
) -> Result<Result<realm_sandbox::plan::Plan, realm_sandbox::plan::Reject>, Breach> {
    program.begin(7)?.on_request(request(), prompt())
}
