//! The compiler of tenants' programs: this same binary under a hidden verb, in a process with bounds of its own.

use std::{ffi::OsString, io, time::Duration};

use realm_sandbox::{Compiler, CompilerLimits};

/// The hidden verb that compiles one tenant's program.
const COMPILE_PROGRAM: &str = "compile-program";

/// Processor time and time on the wall of a compiler that was itself built without optimisation, which takes fifty times
/// as long.
const SLOW_CPU_SECONDS: u64 = 120;
const SLOW_WALL: Duration = Duration::from_mins(10);

/// The compiler's process under the server's limits.
pub(super) fn compiler() -> io::Result<Compiler> {
    let verb = [OsString::from(COMPILE_PROGRAM)];
    Ok(Compiler::new(std::env::current_exe()?, verb, limits()))
}

fn limits() -> CompilerLimits {
    let limits = CompilerLimits::default();
    if cfg!(debug_assertions) {
        return CompilerLimits { cpu_seconds: SLOW_CPU_SECONDS, wall: SLOW_WALL, ..limits };
    }
    limits
}
