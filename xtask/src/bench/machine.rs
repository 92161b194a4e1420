//! What the operating system says of the machine and of the processes that run on it. Linux only; else `None`.

use std::{fs, path::Path};

/// CPU time in clock ticks; only differences and shares mean something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuTime {
    total: u64,
    busy: u64,
    /// Of this process and of its children that have ended.
    own: u64,
}

impl CpuTime {
    /// As of now.
    pub(crate) fn now() -> Option<Self> {
        let machine = fs::read_to_string("/proc/stat").ok()?;
        let process = fs::read_to_string("/proc/self/stat").ok()?;
        Self::parse(&machine, &process)
    }

    fn parse(machine: &str, process: &str) -> Option<Self> {
        let cpu = machine.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = cpu.split_whitespace().map_while(|text| text.parse().ok()).collect();
        let [user, nice, system, idle, wait, irq, softirq, stolen, ..] = ticks.as_slice() else {
            return None;
        };
        // What the host took counts as busy: it disturbs as much as a neighbour does.
        let busy = user + nice + system + irq + softirq + stolen;
        // The program's name may hold spaces; it ends with the last bracket.
        let (_, fields) = process.rsplit_once(')')?;
        let times = fields.split_whitespace().skip(11).take(4);
        let own = times.map(|text| text.parse::<u64>().ok()).sum::<Option<u64>>()?;
        Some(Self { total: busy + idle + wait, busy, own })
    }

    /// The share of the machine that neither this process nor its ended children took since `before`.
    pub(crate) fn others_since(self, before: Self) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|total| *total > 0)?;
        let busy = self.busy.saturating_sub(before.busy);
        let others = busy.saturating_sub(self.own.saturating_sub(before.own));
        Some(others as f64 / total as f64)
    }
}

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All that is in memory.
    pub(crate) resident: u64,
    /// Of it, what no other process shares.
    pub(crate) anonymous: u64,
}

impl Memory {
    /// Of a running process; `None` when it is gone.
    pub(crate) fn of(process: u32) -> Option<Self> {
        let file = Path::new("/proc").join(process.to_string()).join("status");
        Self::parse(&fs::read_to_string(file).ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| -> Option<u64> {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
        };
        Some(Self { resident: bytes("VmRSS:")?, anonymous: bytes("RssAnon:")? })
    }

    /// The larger of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            resident: self.resident.max(other.resident),
            anonymous: self.anonymous.max(other.anonymous),
        }
    }
}

/// What the CPU calls itself.
pub(crate) fn cpu_name() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_children_took_is_our_own() {
        let process = |own: u64| format!("7 (a ) b) R 1 2 3 4 5 6 7 8 9 10 {own} 0 0 0 20");
        let before = CpuTime::parse("cpu  100 0 0 900 0 0 0 0 0 0", &process(10)).unwrap();
        let after = CpuTime::parse("cpu  190 0 0 1000 0 0 0 10 0 0", &process(90)).unwrap();
        assert!((after.others_since(before).unwrap() - 0.1).abs() < 1e-9);
        assert!(before.others_since(before).is_none());
    }

    #[test]
    fn memory_comes_in_bytes() {
        let memory = Memory::parse("VmRSS:\t  200 kB\nRssAnon:\t  50 kB\n").unwrap();
        assert_eq!(memory, Memory { resident: 200 << 10, anonymous: 50 << 10 });
        assert!(Memory::parse("VmRSS: 1 kB").is_none());
    }
}
