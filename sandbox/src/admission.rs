//! From a file that a tenant brought to code that may run: looked at, compiled in a process of its own, cached under a
//! keyed hash. Nothing is compiled in the process that serves, and nothing is loaded that this cache did not write.

mod cache;
mod compiler;
mod inspect;
mod key;
mod load;
mod refusal;

use std::sync::Arc;

pub use cache::Cache;
pub use compiler::{COMPILED_BYTES, Compiler, CompilerLimits, child_main};
pub use inspect::{MAX_BODY_BYTES, MAX_FUNCTIONS, Report, inspect};
pub use load::Artifact;
pub use refusal::{CacheError, CompileError, Refusal};

use crate::{engine::Engine, limits::MAX_WASM_BYTES};

/// Admits programs. One for each cache folder of a process.
#[derive(Debug)]
pub struct Admission {
    engine: Arc<Engine>,
    compiler: Compiler,
    cache: Cache,
    max_bytes: usize,
}

/// A program that was admitted.
#[derive(Debug)]
pub struct Admitted {
    /// What was seen in it.
    pub report: Report,
    /// Its code.
    pub artifact: Artifact,
    /// Whether the cache had it.
    pub cached: bool,
}

impl Admission {
    /// Admits programs of at most `max_bytes`.
    pub fn new(engine: Arc<Engine>, compiler: Compiler, cache: Cache, max_bytes: usize) -> Self {
        Self { engine, compiler, cache, max_bytes: max_bytes.min(MAX_WASM_BYTES) }
    }

    /// Looks at a component, and compiles it unless the cache has it. Takes as long as the compiler may; call it where
    /// that harms nobody.
    pub fn admit(&self, wasm: &[u8]) -> Result<Admitted, Refusal> {
        let report = inspect(wasm, self.max_bytes)?;
        let name = Cache::name(self.engine.inner(), wasm);
        if let Some(compiled) = self.cache.read(&name)? {
            match Artifact::load(&self.engine, &compiled) {
                Ok(artifact) => return Ok(Admitted { report, artifact, cached: true }),
                Err(error) => {
                    tracing::warn!(%error, "a cached program does not load; compiling it anew");
                }
            }
        }
        let compiled = self.compiler.compile(wasm)?;
        let compiled = self.cache.write(&name, compiled)?;
        let artifact = Artifact::load(&self.engine, &compiled).map_err(Refusal::Load)?;
        Ok(Admitted { report, artifact, cached: false })
    }
}
