//! What a tenant's program may use: the bounds that its owner sets, within those that the server allows.

use std::time::Duration;

use crate::breach::Hook;

/// Bytes of a tenant's component, at most, whatever its limits say.
pub const MAX_WASM_BYTES: usize = 4 << 20;
/// Bytes of a component that a tenant may bring when nothing else is said: a JavaScript program brings its engine, 1.1 to
/// 1.6 MB.
pub const DEFAULT_WASM_BYTES: usize = 2 << 20;
/// Memory of an instance, at most. One bulk instruction cannot be interrupted, and this bounds how long it takes.
pub const MAX_MEMORY_BYTES: usize = 64 << 20;
/// Stack of a guest.
pub const STACK_BYTES: usize = 256 << 10;
/// How often deadlines are looked at: a hook ends at most one tick and a little after its deadline.
pub const TICK: Duration = Duration::from_millis(1);

/// Time that a guest may take beyond its deadline because other threads have the CPU.
pub const STARVATION: Duration = Duration::from_millis(100);

/// Bounds of a tenant's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance in bytes, all its memories together.
    pub memory_bytes: usize,
    /// Elements of all tables of an instance.
    pub table_elements: usize,
    /// Time that each call of a hook may take.
    pub deadlines: Deadlines,
    /// Time that all hooks of one request may take.
    pub request_time: Duration,
    /// Time that all hooks of the tenant may take within a minute.
    pub minute_time: Duration,
    /// Bytes that may cross from guest to host in one call.
    pub crossing_bytes: usize,
    /// Bytes of log lines of one request; what follows is dropped and counted.
    pub log_bytes: usize,
    /// Calls of capabilities in one request.
    pub operations: u64,
    /// Bytes that an agent may send to the client.
    pub emitted_bytes: usize,
    /// Time of an agent's whole run on the wall, the model's included.
    pub run_time: Duration,
    /// Contexts of the model that an agent may hold at once.
    pub contexts: usize,
    /// Tokens that an agent may read and generate in one request.
    pub tokens: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 16 << 20,
            table_elements: 10_000,
            deadlines: Deadlines::default(),
            request_time: Duration::from_millis(100),
            minute_time: Duration::from_secs(6),
            crossing_bytes: 1 << 20,
            log_bytes: 16 << 10,
            operations: 10_000,
            emitted_bytes: 1 << 20,
            run_time: Duration::from_mins(2),
            contexts: 16,
            tokens: 1 << 16,
        }
    }
}

/// Time that one call of each hook may take. It counts while the guest runs, and not while it waits for a CPU, but at most
/// [`STARVATION`] longer on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Making the instance: start functions and initializers.
    pub start: Duration,
    /// `on-request`.
    pub on_request: Duration,
    /// `on-tokens`.
    pub on_tokens: Duration,
    /// `on-logits`.
    pub on_logits: Duration,
    /// `on-response`.
    pub on_response: Duration,
    /// `run`, without the time that the model takes.
    pub run: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            start: Duration::from_millis(5),
            on_request: Duration::from_millis(5),
            on_tokens: Duration::from_millis(1),
            on_logits: Duration::from_millis(1),
            on_response: Duration::from_millis(5),
            run: Duration::from_millis(100),
        }
    }
}

impl Deadlines {
    /// The deadline of a hook.
    pub fn of(&self, hook: Hook) -> Duration {
        match hook {
            Hook::Start => self.start,
            Hook::OnRequest => self.on_request,
            Hook::OnTokens => self.on_tokens,
            Hook::OnLogits => self.on_logits,
            Hook::OnResponse => self.on_response,
            Hook::Run => self.run,
        }
    }

    /// The same deadline for every hook.
    pub fn all(deadline: Duration) -> Self {
        Self {
            start: deadline,
            on_request: deadline,
            on_tokens: deadline,
            on_logits: deadline,
            on_response: deadline,
            run: deadline,
        }
    }
}

impl Limits {
    /// These limits, held within what the server allows.
    #[must_use]
    pub fn within_bounds(mut self) -> Self {
        self.memory_bytes = self.memory_bytes.min(MAX_MEMORY_BYTES);
        self
    }
}
