//! What the operating system says about the machine and this process. Linux only; elsewhere the answers are `None`.

use std::fs;

use serde::Serialize;

/// Memory of this process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_field_names,
    reason = "the unit belongs to the names, which the JSON shows"
)]
pub(super) struct Memory {
    /// Everything that is in memory.
    pub resident_bytes: u64,
    /// Of it, what belongs to this process alone.
    pub anonymous_bytes: u64,
    /// Of it, pages of files, which other processes share.
    pub file_bytes: u64,
    /// The most that was ever in memory.
    pub peak_bytes: Option<u64>,
}

impl Memory {
    /// As of now.
    pub(super) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| kibibytes(status, name).map(|count| count * 1024);
        Some(Self {
            resident_bytes: bytes("VmRSS:")?,
            anonymous_bytes: bytes("RssAnon:")?,
            file_bytes: bytes("RssFile:")? + bytes("RssShmem:").unwrap_or(0),
            peak_bytes: bytes("VmHWM:"),
        })
    }
}

/// The number of a line such as `VmRSS:   1234 kB`.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// CPU time since the machine started, in clock ticks; only differences and shares mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CpuTime {
    /// Of all CPUs, idle or not.
    total: u64,
    /// Of all CPUs, spent on work of this machine.
    busy: u64,
    /// Taken by the host of a virtual machine.
    stolen: u64,
    /// Spent by this process.
    own: u64,
}

/// What others took of the machine while something was measured, as shares of all its CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disturbance {
    /// By other processes of the machine.
    pub others: f64,
    /// By the host, which runs other machines.
    pub stolen: f64,
}

impl CpuTime {
    /// As of now.
    pub(super) fn now() -> Option<Self> {
        let machine = fs::read_to_string("/proc/stat").ok()?;
        let process = fs::read_to_string("/proc/self/stat").ok()?;
        Self::parse(&machine, &process)
    }

    fn parse(machine: &str, process: &str) -> Option<Self> {
        let cpu = machine.lines().next()?.strip_prefix("cpu ")?;
        let mut ticks = cpu.split_whitespace().map(str::parse::<u64>);
        let mut next = || ticks.next()?.ok();
        let (user, nice, system, idle, wait) = (next()?, next()?, next()?, next()?, next()?);
        let (irq, softirq, stolen) = (next()?, next()?, next().unwrap_or(0));
        let busy = user + nice + system + irq + softirq;
        // The program's name may hold spaces; it ends with the last bracket.
        let (_, after_name) = process.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace().skip(11).map(str::parse::<u64>);
        let own = fields.next()?.ok()? + fields.next()?.ok()?;
        Some(Self { total: busy + idle + wait + stolen, busy, stolen, own })
    }

    /// What others took between `before` and `self`.
    pub(super) fn since(self, before: Self) -> Option<Disturbance> {
        let total = self.total.checked_sub(before.total).filter(|total| *total > 0)?;
        let busy = self.busy.saturating_sub(before.busy);
        let own = self.own.saturating_sub(before.own);
        let share = |ticks: u64| ticks as f64 / total as f64;
        Some(Disturbance {
            others: share(busy.saturating_sub(own)),
            stolen: share(self.stolen.saturating_sub(before.stolen)),
        })
    }
}

/// What the CPU calls itself, or else its architecture.
pub(super) fn cpu_name() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: &str = "7 (a ) name) R 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0 1 0 5 6 7";

    #[test]
    fn shares_of_others_leave_out_this_process() {
        let before = CpuTime::parse("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1", PROCESS).unwrap();
        assert_eq!(before.own, 42);
        let process = PROCESS.replace(" 40 2 ", " 100 22 ");
        let after = CpuTime::parse("cpu  200 0 70 860 50 0 0 20 0 0\n", &process).unwrap();
        let disturbance = after.since(before).unwrap();
        assert!((disturbance.others - 40.0 / 200.0).abs() < 1e-9, "{disturbance:?}");
        assert!((disturbance.stolen - 20.0 / 200.0).abs() < 1e-9, "{disturbance:?}");
        assert_eq!(before.since(before), None);
        assert_eq!(CpuTime::parse("intr 1", PROCESS), None);
    }

    #[test]
    fn memory_is_split_in_anonymous_and_file() {
        let status = "Name:\trealm\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\nRssAnon:\t  50 kB\nRssFile:\t  149 kB\nRssShmem:\t  1 kB\n";
        let memory = Memory::parse(status).unwrap();
        assert_eq!(memory.resident_bytes, 200 * 1024);
        assert_eq!(memory.anonymous_bytes + memory.file_bytes, memory.resident_bytes);
        assert_eq!(memory.peak_bytes, Some(300 * 1024));
        assert_eq!(Memory::parse("VmRSS: 1 MB"), None);
    }
}
