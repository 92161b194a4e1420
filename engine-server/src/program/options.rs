//! What this server gives to programs: a folder for compiled ones, and the compiler.

use std::path::PathBuf;

use realm_sandbox::Compiler;

/// Where compiled programs are kept, and who compiles.
#[derive(Debug, Clone)]
pub struct ProgramOptions {
    /// The folder.
    pub folder: PathBuf,
    /// The compiler's process.
    pub compiler: Compiler,
}
