//! The node's long-lived programs: started in its network, known by process id and start time so that a
//! reused id is never taken for ours, ended by that id alone.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::{linux::fs::MetadataExt as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{cluster::layout, shell};

/// A killed process is gone within this time.
const DEATH_LIMIT: Duration = Duration::from_secs(20);

/// A program to keep running.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<OsString>,
}

impl Program {
    pub(crate) fn new<I>(name: &'static str, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        Self { name, arguments: arguments.into_iter().map(Into::into).collect() }
    }
}

/// Starts a program in the node's network, unless it runs.
pub(crate) fn start(program: &Program) -> Result<()> {
    if running(program.name)?.is_some() {
        return Ok(());
    }
    let log_path = log_file(program.name);
    if log_path.exists() {
        fs::rename(&log_path, log_path.with_extension("previous.log"))
            .context("keep the last log")?;
    }
    let log = File::create(&log_path).with_context(|| format!("create {}", log_path.display()))?;
    let child = Command::new("nsenter")
        .arg(format!("--net={}", layout::network_namespace().display()))
        .arg(format!("--mount={}", layout::mount_namespace().display()))
        .arg(layout::program(program.name))
        .args(&program.arguments)
        .env("PATH", search_path())
        .env_remove("KUBECONFIG")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("share the log")?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("start {}", program.name))?;
    let id = i32::try_from(child.id()).context("process id out of range")?;
    let started = start_time(id).with_context(|| format!("{} ended at once", program.name))?;
    fs::write(id_file(program.name), format!("{id} {started}")).context("write the process id")
}

/// Fails with the end of its log when a program does not run.
pub(crate) fn check(names: &[&str]) -> Result<()> {
    for name in names {
        if running(name)?.is_none() {
            let log = log_file(name);
            let text = fs::read_to_string(&log).unwrap_or_default();
            bail!("{name} has ended; the end of {}:\n{}", log.display(), shell::tail(&text));
        }
    }
    Ok(())
}

/// The process id of a program that we started and that still runs.
pub(crate) fn running(name: &str) -> Result<Option<i32>> {
    let Ok(text) = fs::read_to_string(id_file(name)) else { return Ok(None) };
    let (id, started) = text.split_once(' ').with_context(|| format!("process file of {name}"))?;
    let id: i32 = id.parse().with_context(|| format!("process file of {name}"))?;
    Ok((start_time(id).as_deref() == Some(started)).then_some(id))
}

/// Kills a program that we started and waits for its end.
pub(crate) fn stop(name: &str) -> Result<()> {
    if let Some(id) = running(name)? {
        kill_all(&[id])?;
    }
    let file = id_file(name);
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
    }
    Ok(())
}

/// Kills processes and waits until none is left.
pub(crate) fn kill_all(ids: &[i32]) -> Result<()> {
    let targets: Vec<(i32, String)> =
        ids.iter().filter_map(|id| Some((*id, start_time(*id)?))).collect();
    for (id, _) in &targets {
        if let Some(pid) = Pid::from_raw(*id) {
            // An error says that it has just ended.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    shell::await_condition("the end of killed processes", DEATH_LIMIT, || {
        let alive = |(id, started): &(i32, String)| start_time(*id).as_ref() == Some(started);
        Ok((!targets.iter().any(alive)).then_some(()))
    })
}

/// Every process that runs in the node's network: our programs and containerd's shims, also those that
/// a crash left without a process file.
pub(crate) fn in_node_network() -> Result<Vec<i32>> {
    let Ok(ours) = fs::metadata(layout::network_namespace()) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("list processes")? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(theirs) = fs::metadata(entry.path().join("ns/net")) else { continue };
        if (theirs.st_dev(), theirs.st_ino()) == (ours.st_dev(), ours.st_ino()) {
            found.push(id);
        }
    }
    Ok(found)
}

/// The log of a program.
pub(crate) fn log_file(name: &str) -> PathBuf {
    layout::state("log").join(format!("{name}.log"))
}

fn id_file(name: &str) -> PathBuf {
    layout::run("processes").join(name)
}

/// Our programs find each other (containerd its shim) and the administrator's (runc, nft).
fn search_path() -> OsString {
    let mut path = OsString::from(layout::state("bin"));
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
    path
}

/// When a process started, in clock ticks since boot; nothing when it has ended.
fn start_time(id: i32) -> Option<String> {
    let stat = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat")).ok()?;
    parse_start_time(&stat)
}

/// Field 22 of `/proc/ID/stat`; the name (field 2) may hold blanks, so count after its last bracket.
fn parse_start_time(stat: &str) -> Option<String> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| started.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_start_time;

    #[test]
    fn start_time_is_read_behind_any_name_and_not_of_the_dead() {
        let line = |name: &str, state: &str| {
            format!("7 ({name}) {state} 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9")
        };
        assert_eq!(parse_start_time(&line("a) b", "S")).as_deref(), Some("4242"));
        assert_eq!(parse_start_time(&line("etcd", "Z")), None);
        assert_eq!(parse_start_time("nonsense"), None);
    }
}
