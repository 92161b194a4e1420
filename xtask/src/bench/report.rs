//! The result: what ran where, the table, notes, and what failed; as Markdown and as JSON.

use std::{path::Path, process::Command};

use anyhow::{Error, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::{
    machine::cpu_name,
    plan::{Part, Plan},
    row::Row,
};
use crate::shell::{self, Progress};

/// More than this share of the machine in other hands spoils a figure.
const NOISY: f64 = 0.06;

/// A result in the making.
#[derive(Debug)]
pub(crate) struct Report {
    progress: Progress,
    head: String,
    plan: Plan,
    /// Lines, and the largest share of the machine that others took in one of their runs.
    rows: Vec<(Row, f64)>,
    notes: Vec<String>,
    failures: usize,
}

impl Report {
    /// An empty result of the repository at `root`.
    pub(crate) fn new(root: &Path, plan: &Plan) -> Self {
        let git = |args: &[&str]| {
            let text = shell::output(Command::new("git").current_dir(root).args(args));
            text.map(|text| text.trim().to_owned()).unwrap_or_default()
        };
        let commit = git(&["rev-parse", "--short", "HEAD"]);
        let changed = if git(&["status", "--porcelain"]).is_empty() { "" } else { " with changes" };
        let day = git(&["log", "-1", "--format=%cs"]);
        let head = format!(
            "{}, {} threads, commit {commit}{changed} of {day}, {} interleaved rounds",
            cpu_name(),
            plan.threads,
            plan.rounds
        );
        Self {
            progress: Progress::new(),
            head,
            plan: plan.clone(),
            rows: Vec::new(),
            notes: Vec::new(),
            failures: 0,
        }
    }

    /// Tells what is measured now, on standard error.
    pub(crate) fn say(&self, what: &str) {
        self.progress.say(what);
    }

    /// Adds a line; `others` is the largest share of the machine that others took meanwhile.
    pub(crate) fn row(&mut self, row: Row, others: f64) {
        self.say(row.markdown().trim_end());
        self.rows.push((row, others));
    }

    /// Adds a sentence below the table.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// A part could not be measured; the others still count.
    pub(crate) fn failed(&mut self, part: Part, error: &Error) {
        self.failures += 1;
        let name = part.to_possible_value().map(|value| value.get_name().to_owned());
        self.note(format!("FAILED: {}: {error:#}", name.unwrap_or_default()));
    }

    /// The whole as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "{}; median (least-most).\n\n\
             | work | Realm | llama.cpp | llama.cpp --no-repack | Realm to the better | must reach | reached |\n\
             |---|---|---|---|---|---|---|\n",
            self.head
        );
        text.extend(self.rows.iter().map(|(row, _)| row.markdown()));
        text.push('\n');
        for line in self.notes.iter().cloned().chain(self.noise()) {
            text.push_str("- ");
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// The lines that a neighbour may have spoilt.
    fn noise(&self) -> impl Iterator<Item = String> {
        self.rows.iter().filter(|(_, others)| *others > NOISY).map(|(row, others)| {
            let percent = 100.0 * others;
            format!("NOISY: other processes took up to {percent:.0} % of the machine: {}", row.work)
        })
    }

    /// The whole with every sample.
    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(row, others)| {
            let mut value = row.json();
            value["others"] = json!(others);
            value
        });
        json!({
            "machine": self.head,
            "threads": self.plan.threads,
            "rounds": self.plan.rounds,
            "quick": self.plan.quick,
            "rows": rows.collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    /// An error when a part failed.
    pub(crate) fn outcome(&self) -> Result<()> {
        match self.failures {
            0 => Ok(()),
            failures => bail!("{failures} parts could not be measured; the notes above say why"),
        }
    }
}
