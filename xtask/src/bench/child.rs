//! A contestant's process: bounded in time, watched for memory, and gone when the watcher is.

use std::{
    fs::File,
    io::{Read, Seek},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::machine::{CpuTime, Memory};
use crate::shell;

/// The longest that one process may take: llama.cpp's batched 7B run is the longest known, at four minutes.
const LIMIT: Duration = Duration::from_mins(10);
/// Time between two looks at the process; what its start is measured with.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// Looks between two readings of its memory.
const LOOKS_PER_READING: u32 = 25;

/// What a process printed and took.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// From its start to its end.
    pub(crate) seconds: f64,
    /// The most that was seen.
    pub(crate) memory: Memory,
    /// The share of the machine that others took.
    pub(crate) others: Option<f64>,
}

/// A process that is killed when nobody watches it any more.
#[derive(Debug)]
pub(crate) struct Owned(Child);

impl Owned {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        Ok(Self(command.spawn().with_context(|| format!("start {name}"))?))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Already gone is as good as ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a process to its end.
///
/// # Errors
/// It does not start, fails, or takes too long; the message quotes what it said.
pub(crate) fn run(command: &mut Command) -> Result<Ended> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let before = CpuTime::now();
    let start = Instant::now();
    let mut process = Owned::start(command)?;
    let (status, memory) = watch(&mut process.0, start)?;
    let seconds = start.elapsed().as_secs_f64();
    let others = CpuTime::now().zip(before).and_then(|(now, before)| now.others_since(before));
    let (stdout, stderr) = (text(&mut stdout)?, text(&mut stderr)?);
    let name = command.get_program().to_string_lossy();
    match status {
        Some(status) if status.success() => Ok(Ended { stdout, stderr, seconds, memory, others }),
        Some(status) => bail!("{name} ended with {status}:\n{}", shell::tail(&stderr)),
        None => bail!("{name} took more than {} s and was ended", LIMIT.as_secs()),
    }
}

/// Waits for the end; no status when the time is over.
fn watch(process: &mut Child, start: Instant) -> Result<(Option<ExitStatus>, Memory)> {
    let mut memory = Memory::default();
    for look in 0_u32.. {
        if let Some(status) = process.try_wait()? {
            return Ok((Some(status), memory));
        }
        if look.is_multiple_of(LOOKS_PER_READING) {
            memory = memory.max(Memory::of(process.id()).unwrap_or_default());
        }
        if start.elapsed() > LIMIT {
            break;
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Ok((None, memory))
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
