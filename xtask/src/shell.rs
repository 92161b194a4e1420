//! Small helpers for chores that drive other programs: run one and say what went wrong, wait for a
//! condition, tell how far the chore is. Knows no chore.

use std::{
    path::PathBuf,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// The lines of another program's output that an error quotes.
const QUOTED_LINES: usize = 20;

/// Time between two looks at a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Runs a program to its end and gives its standard output.
///
/// # Errors
/// Names the program, its arguments, its status and the end of what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let printed = finish(command)?;
    Ok(String::from_utf8_lossy(&printed.stdout).into_owned())
}

/// Runs a program to its end; what it prints is shown only when it fails.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    finish(command).map(drop)
}

/// Whether a program starts and ends well; what it prints is of no interest.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|printed| printed.status.success())
}

fn finish(command: &mut Command) -> Result<Output> {
    let printed = command.output().with_context(|| cannot_start(command))?;
    if printed.status.success() {
        return Ok(printed);
    }
    let mut text = String::from_utf8_lossy(&printed.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&printed.stderr));
    bail!("`{}` failed ({}):\n{}", describe(command), printed.status, tail(&text))
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}", command.get_program().display())
}

/// The command as one line, for errors.
fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}

/// Looks until `look` gives a value, an error, or the time is over.
///
/// # Errors
/// The error of `look`, or `what` did not come true within `limit`.
pub(crate) fn await_condition<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("{what} did not happen within {} s", limit.as_secs());
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The file of a program in `PATH` or in the administrator's folders.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(extra)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Tells the steps of a chore with the time since it began.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// One line on standard error, so that standard output stays for results.
    pub(crate) fn say(&self, text: impl std::fmt::Display) {
        eprintln!("{:7.1}s  {text}", self.start.elapsed().as_secs_f64());
    }
}
