//! Compiles a component in a child process that can harm nobody: a bound on processor time, memory, files and processes,
//! and a parent who ends it when it takes too long. The child has the component on its standard input and answers on its
//! standard output.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    path::PathBuf,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::refusal::CompileError;
use crate::{engine::base_config, limits::MAX_WASM_BYTES};

/// Bytes of a compiled program, at most.
pub const COMPILED_BYTES: usize = 64 << 20;
/// First byte of the child's answer: the code follows.
const DONE: u8 = 0;
/// First byte of the child's answer: a reason follows.
const REFUSED: u8 = 1;
/// File descriptors that the child may have: the three it was born with.
const CHILD_FILES: u64 = 3;

/// What compiling one program may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompilerLimits {
    /// Processor time, in whole seconds.
    pub cpu_seconds: u64,
    /// Address space in MiB.
    pub memory_mib: u64,
    /// Time on the wall, however busy the machine is.
    pub wall: Duration,
}

impl Default for CompilerLimits {
    fn default() -> Self {
        Self { cpu_seconds: 5, memory_mib: 1024, wall: Duration::from_secs(30) }
    }
}

/// Starts the child: a program that calls [`child_main`].
#[derive(Debug, Clone)]
pub struct Compiler {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: CompilerLimits,
}

impl Compiler {
    /// A compiler that is that program with those arguments; the limits follow them.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = OsString>,
        limits: CompilerLimits,
    ) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().collect(), limits }
    }

    /// Compiles a component.
    pub(super) fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        let mut child = self.spawn()?;
        let answer = self.converse(&mut child, wasm);
        if answer.is_err() {
            // It may have ended by itself; then there is nothing to kill.
            drop(child.kill());
        }
        let status = child.wait()?;
        let bytes = answer?;
        match bytes.split_first() {
            _ if bytes.len() > COMPILED_BYTES => Err(CompileError::TooLarge(COMPILED_BYTES)),
            Some((&DONE, code)) if status.success() => Ok(code.to_vec()),
            Some((&REFUSED, reason)) if status.success() => {
                Err(CompileError::Refused(String::from_utf8_lossy(reason).into_owned()))
            }
            _ => Err(self.ended(status)),
        }
    }

    /// Without the parent's environment: the child needs none of it.
    fn spawn(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .arg(self.limits.cpu_seconds.to_string())
            .arg(self.limits.memory_mib.to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }

    /// Writes the component and reads the answer, within the time.
    fn converse(&self, child: &mut Child, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        let missing = || io::Error::other("a pipe to the compiler is missing");
        let mut input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let reader =
            thread::Builder::new().name("sandbox-compiler".to_owned()).spawn(move || {
                let mut bytes = Vec::new();
                let read = output.take(COMPILED_BYTES as u64 + 1).read_to_end(&mut bytes);
                // The receiver is gone when it waited too long.
                drop(sender.send(read.map(|_| bytes)));
            })?;
        thread::scope(|scope| {
            // A child that ends before it has read everything says why on its output or by its status.
            scope.spawn(move || drop(input.write_all(wasm)));
            let answer = receiver.recv_timeout(self.limits.wall);
            if answer.is_err() {
                drop(child.kill());
            }
            let answer = answer.map_err(|_| CompileError::TooSlow(self.limits.wall))?;
            drop(reader.join());
            answer.map_err(CompileError::from)
        })
    }

    fn ended(&self, status: ExitStatus) -> CompileError {
        let CompilerLimits { cpu_seconds, memory_mib, .. } = self.limits;
        CompileError::Ended(status.to_string(), cpu_seconds, memory_mib)
    }
}

/// The child: `realm`'s hidden verb, or a test's own program, calls this with the arguments that follow. Returns when
/// the answer is written.
pub fn child_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let numbers: Option<Vec<u64>> =
        arguments.into_iter().map(|argument| argument.to_str()?.parse().ok()).collect();
    let Some([cpu_seconds, memory_mib]) = numbers.as_deref() else { return ExitCode::FAILURE };
    match confined(*cpu_seconds, *memory_mib) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Bounds this process, compiles and answers.
fn confined(cpu_seconds: u64, memory_mib: u64) -> io::Result<()> {
    lower(Resource::Cpu, cpu_seconds)?;
    lower(Resource::As, memory_mib << 20)?;
    lower(Resource::Core, 0)?;
    lower(Resource::Fsize, 0)?;
    let engine = wasmtime::Engine::new(&base_config()).map_err(io::Error::other)?;
    let mut wasm = Vec::new();
    io::stdin().take(MAX_WASM_BYTES as u64 + 1).read_to_end(&mut wasm)?;
    // From here on it opens no file and no socket, and starts nothing.
    lower(Resource::Nofile, CHILD_FILES)?;
    lower(Resource::Nproc, 0)?;
    let (status, bytes) = match engine.precompile_component(&wasm) {
        Ok(code) => (DONE, code),
        Err(error) => (REFUSED, format!("{error:#}").into_bytes()),
    };
    let mut output = io::stdout().lock();
    output.write_all(&[status])?;
    output.write_all(&bytes)?;
    output.flush()
}

/// Lowers a limit; one that is lower already stays.
fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let least = |limit: Option<u64>| Some(limit.map_or(most, |limit| limit.min(most)));
    setrlimit(resource, Rlimit { current: least(now.current), maximum: least(now.maximum) })
        .map_err(io::Error::from)
}
