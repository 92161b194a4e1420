//! Decode in a control group that has one CPU of a larger machine, as a pod with a CPU limit has: threads must follow the
//! quota. The fair speed is that of one thread without a quota.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    models::Models,
    plan::Plan,
    report::Report,
    rounds::Contestants,
    row::{Row, Target},
};

const TOKENS: usize = 64;
/// The share of the fair speed.
const TARGET: f64 = 0.95;
/// One CPU: as much time in each period as the period has.
const PERIOD_MICROSECONDS: u32 = 100_000;
const ROOT: &str = "/sys/fs/cgroup";

/// Measures both contestants inside and outside the group, in turn.
pub(crate) fn measure(
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let group = match Group::new() {
        Ok(group) => group,
        Err(error) => {
            report.note(format!("Not measured here: the CPU quota ({error:#})."));
            return Ok(());
        }
    };
    let model = models.demo()?;
    report.say("decode with a quota of one CPU, SmolLM2 Q4_1");
    let name = format!("decode {TOKENS} with a quota of one CPU, SmolLM2 Q4_1");
    let mut row = Row::new(name, "share of one thread's speed", Target::AtLeast(TARGET));
    for _ in 0..plan.rounds {
        row.push(&contestants.round(
            || {
                let rate = |command: &mut Command| {
                    contestants.run_realm(command)?.number("/decode/tokensPerSecond/median")
                };
                let mut command = contestants.realm_bare(&model, 0, TOKENS);
                let inside = rate(&mut group.enter(&command))?;
                Ok(inside / rate(command.args(["-t", "1"]))?)
            },
            |llama, form| {
                let rate = |command: &mut Command| {
                    let measured = contestants.run_llama(command)?;
                    measured.decode.context("llama-bench gave no rate")
                };
                let mut command = llama.bench(&model, form, 0, TOKENS);
                let inside = rate(&mut group.enter(&command))?;
                Ok(inside / rate(command.args(["-t", "1"]))?)
            },
        )?);
    }
    report.row(row, contestants.take_others());
    Ok(())
}

/// A control group of ours, removed at the end.
struct Group {
    folder: PathBuf,
}

impl Group {
    /// Makes the group and gives it one CPU, in whichever version of control groups the machine has.
    fn new() -> Result<Self> {
        let name = format!("realm-bench-{}", std::process::id());
        let old = Path::new(ROOT).join("cpu");
        let unified = Path::new(ROOT).join("cgroup.controllers").is_file();
        let folder = if unified { Path::new(ROOT).join(name) } else { old.join(name) };
        fs::create_dir(&folder)
            .with_context(|| format!("cannot make the control group {}", folder.display()))?;
        let group = Self { folder };
        let (quota, period) = (PERIOD_MICROSECONDS, PERIOD_MICROSECONDS);
        if unified {
            group.set("cpu.max", &format!("{quota} {period}"))?;
        } else {
            group.set("cpu.cfs_period_us", &period.to_string())?;
            group.set("cpu.cfs_quota_us", &quota.to_string())?;
        }
        Ok(group)
    }

    fn set(&self, file: &str, value: &str) -> Result<()> {
        let file = self.folder.join(file);
        fs::write(&file, value).with_context(|| format!("cannot write {}", file.display()))
    }

    /// The same command, started in the group by a shell that becomes it.
    fn enter(&self, command: &Command) -> Command {
        let mut inside = Command::new("sh");
        inside.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]);
        inside.arg(self.folder.join("cgroup.procs"));
        inside.arg(command.get_program()).args(command.get_args());
        inside
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended; a group that stays behind is empty and harms nobody.
        let _ = fs::remove_dir(&self.folder);
    }
}
