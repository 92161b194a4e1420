//! Progress of a download on standard error: a bar on a terminal, one line per ten percent elsewhere.

use std::io::{IsTerminal, stderr};

use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};

use crate::artifact::Progress;

/// Lines that one download writes at most when there is no terminal.
const STEPS: u64 = 10;
/// Without a known length, a line is written for so many bytes.
const BLIND_STEP_BYTES: u64 = 256 * 1024 * 1024;

/// The progress for this standard error.
pub(super) fn for_stderr(quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(crate::artifact::Silent)
    } else if stderr().is_terminal() {
        Box::new(Bar { bar: ProgressBar::hidden() })
    } else {
        Box::new(Lines::default())
    }
}

struct Bar {
    bar: ProgressBar,
}

impl Progress for Bar {
    fn begin(&mut self, what: &str, total: Option<u64>, done: u64) {
        self.bar.finish_and_clear();
        self.bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template =
            "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_message(what.to_owned());
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    fn advance(&mut self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    fn end(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[derive(Debug, Default)]
struct Lines {
    what: String,
    total: Option<u64>,
    done: u64,
    written: Option<u64>,
}

impl Lines {
    /// Which of the lines the bytes so far have earned.
    fn step(&self) -> u64 {
        match self.total {
            Some(total) => self.done.saturating_mul(STEPS) / total.max(1),
            None => self.done / BLIND_STEP_BYTES,
        }
    }

    fn line(&self) -> String {
        let done = BinaryBytes(self.done);
        match self.total {
            Some(total) => {
                let percent = self.step() * 100 / STEPS;
                format!("downloading {}: {percent} % ({done} of {})", self.what, BinaryBytes(total))
            }
            None => format!("downloading {}: {done}", self.what),
        }
    }

    fn write(&mut self) {
        let step = self.step();
        if self.written != Some(step) {
            self.written = Some(step);
            eprintln!("{}", self.line());
        }
    }
}

impl Progress for Lines {
    fn begin(&mut self, what: &str, total: Option<u64>, done: u64) {
        what.clone_into(&mut self.what);
        (self.total, self.done, self.written) = (total, done, None);
        self.write();
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        self.write();
    }

    fn note(&mut self, text: &str) {
        eprintln!("{text}");
    }

    fn end(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eleven_lines_at_most_whatever_the_pieces() {
        let mut lines = Lines { what: "m.gguf".into(), total: Some(1000), ..Lines::default() };
        let mut steps = vec![lines.step()];
        for _ in 0..1000 {
            lines.done += 1;
            steps.push(lines.step());
        }
        steps.dedup();
        assert_eq!(steps, (0..=10).collect::<Vec<_>>());
        assert_eq!(lines.line(), "downloading m.gguf: 100 % (1000 B of 1000 B)");
    }
}
