//! How guests are compiled and run: the one configuration, the pool of instances, and the clock.

use thiserror::Error;
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmFeatures,
};

use crate::{
    limits::{MAX_MEMORY_BYTES, STACK_BYTES},
    ticker::{Running, Ticker},
};

/// Guests that may run at once when nothing else is said.
pub const DEFAULT_INSTANCES: u32 = 1000;
/// Memory and table contents that a slot keeps when its guest has gone; the kernel says which pages were touched.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;
/// Unreachable bytes behind each memory.
const GUARD_BYTES: u64 = 64 << 10;
/// Core instances of a component: its module, and those that adapt imports. A JavaScript engine with its WASI stubbed out
/// has 11.
pub const MAX_CORE_INSTANCES: u32 = 16;
/// Memories of a component.
pub const MAX_MEMORIES: u32 = 4;
/// Tables of a component.
pub const MAX_TABLES: u32 = 8;
/// Elements of a table, at most, whatever the limits say.
pub const MAX_TABLE_ELEMENTS: usize = 20_000;
/// What guests may use of WebAssembly. No threads, shared or 64-bit memories, garbage collection or exceptions: a smaller
/// surface, and nothing a text program needs.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL);

/// What is compiled beside the guests' own modules: wasmtime copies values between the memories of a component's parts with
/// modules that it writes itself and that name both memories. No guest's module may; admission reads with [`FEATURES`].
const ADAPTER_FEATURES: WasmFeatures = WasmFeatures::MULTI_MEMORY;

/// Why the sandbox cannot start.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The machine lacks something, mostly address space.
    #[error("the sandbox cannot start: {0:#}; fewer instances need less address space")]
    Runtime(wasmtime::Error),
    /// No thread.
    #[error("the sandbox's clock cannot start: {0}")]
    Clock(#[from] std::io::Error),
}

/// Runs guests. One for each process.
#[derive(Debug)]
pub struct Engine {
    inner: wasmtime::Engine,
    ticker: Ticker,
}

impl Engine {
    /// An engine whose pool holds `instances` guests at once.
    pub fn new(instances: u32) -> Result<Self, EngineError> {
        let mut config = base_config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
        let inner = wasmtime::Engine::new(&config).map_err(EngineError::Runtime)?;
        let ticker = Ticker::start(inner.weak())?;
        Ok(Self { inner, ticker })
    }

    pub(crate) fn inner(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// Says that a guest runs, so that its deadline moves near.
    pub(crate) fn enter(&self) -> Running<'_> {
        self.ticker.enter()
    }
}

/// Features of WebAssembly that guests may use.
pub(crate) fn features() -> WasmFeatures {
    FEATURES
}

/// What compiling and running share: code compiled under another configuration is refused.
pub(crate) fn base_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(FEATURES.union(ADAPTER_FEATURES), true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .memory_reservation(MAX_MEMORY_BYTES as u64)
        .memory_reservation_for_growth(0)
        .memory_guard_size(GUARD_BYTES)
        .memory_may_move(false)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    config
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        // A count only; memories and tables are what takes address space. A JavaScript program takes three of each.
        .total_core_instances(instances.saturating_mul(MAX_CORE_INSTANCES))
        .total_memories(instances.saturating_add(instances / 4).max(MAX_MEMORIES))
        .total_tables(instances.saturating_mul(3).max(MAX_TABLES))
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_memory_size(MAX_MEMORY_BYTES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}
