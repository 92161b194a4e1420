//! `realm tenant check`: what a component imports and exports, and what a server would say to it, with the digest that its
//! RealmTenant names.

use std::{
    io::{Write, stdout},
    path::PathBuf,
    time::Instant,
};

use anyhow::bail;
use clap::Args;
use realm_sandbox::{
    Admitted, Capability,
    admission::{Report, inspect},
    limits::{DEFAULT_WASM_BYTES, MAX_WASM_BYTES},
};
use serde::Serialize;

use super::{
    file, host,
    terms::{TermsArgs, grant_name},
    wit::{HOOKS, TYPES, World},
    workbench::{Workbench, WorkbenchArgs},
};
use crate::digest::Digest;

/// Tells what a program imports and exports.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The component
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    workbench: WorkbenchArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What there is to say of a component.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    file: String,
    bytes: usize,
    sha256: String,
    admitted: bool,
    /// Why it is not admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    seen: Option<Seen>,
    /// What its manifest has to grant.
    needs: Vec<String>,
    /// Looking at it and compiling it, on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    admission_millis: Option<f64>,
}

/// What is in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    /// The world whose hooks it has, if it is one of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    world: Option<&'static str>,
    hooks: Vec<&'static str>,
    imports: Vec<String>,
    exports: Vec<String>,
    functions: u64,
    largest_function_bytes: u64,
    memory_bytes: u64,
}

/// Runs the command.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let wasm = file::read(&args.file, MAX_WASM_BYTES)?;
    let findings = examine(args, &wasm)?;
    if args.json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&findings)?)?;
    } else {
        write!(stdout(), "{}", findings.text())?;
    }
    match findings.reason {
        Some(reason) => bail!("the program would not be admitted: {reason}"),
        None => Ok(()),
    }
}

fn examine(args: &CheckArgs, wasm: &[u8]) -> anyhow::Result<Findings> {
    // Once here for its own sake: what is not admitted is shown as well.
    let report = inspect(wasm, DEFAULT_WASM_BYTES);
    let bench = Workbench::open(&args.workbench)?;
    let began = Instant::now();
    let admitted = bench.admit(wasm)?;
    let admission_millis = admitted.is_ok().then(|| began.elapsed().as_secs_f64() * 1e3);
    let reason = match &admitted {
        Ok(admitted) => start(&bench, admitted, &args.terms),
        Err(refusal) => Some(refusal.to_string()),
    };
    Ok(Findings {
        file: args.file.display().to_string(),
        bytes: wasm.len(),
        sha256: Digest::of(wasm).as_str().to_owned(),
        admitted: reason.is_none(),
        reason,
        needs: report.as_ref().map(needs).unwrap_or_default(),
        seen: report.ok().map(Seen::of),
        admission_millis,
    })
}

/// Why the program cannot be used under its terms, if so.
fn start(bench: &Workbench, admitted: &Admitted, terms: &TermsArgs) -> Option<String> {
    let host = host::imitation(&host::Records::default(), None);
    bench.load(admitted, terms.terms(), host).err().map(|error| error.to_string())
}

/// Grants that the imports need.
fn needs(report: &Report) -> Vec<String> {
    let capability = |import: &String| Capability::of_import(import);
    report.imports.iter().filter_map(capability).map(grant_name).collect()
}

impl Seen {
    fn of(report: Report) -> Self {
        let exported = |interface: &str| report.exports.iter().any(|export| export == interface);
        let hooks: Vec<_> = HOOKS
            .iter()
            .filter(|(interface, _)| exported(interface))
            .map(|(_, hook)| *hook)
            .collect();
        Self {
            world: World::of_hooks(&hooks).map(World::name),
            hooks,
            functions: report.functions,
            largest_function_bytes: report.largest_body,
            memory_bytes: report.memory_bytes,
            imports: report.imports.into_iter().filter(|import| import != TYPES).collect(),
            exports: report.exports,
        }
    }
}

impl Findings {
    /// For people: a line for each finding, and the part of a manifest that it is for.
    fn text(&self) -> String {
        let Self { file, bytes, sha256, needs, .. } = self;
        let mut lines = vec![("program", format!("{file}, {bytes} bytes"))];
        lines.push(("sha256", sha256.clone()));
        if let Some(seen) = &self.seen {
            lines.push(("world", seen.world.unwrap_or("one of its own").to_owned()));
            lines.push(("hooks", list(&seen.hooks)));
            lines.push(("imports", list(&seen.imports)));
            let Seen { functions, largest_function_bytes, memory_bytes, .. } = seen;
            let code =
                format!("{functions} functions, the largest of {largest_function_bytes} bytes");
            lines.push(("code", code));
            lines.push(("memory", format!("{memory_bytes} bytes at its start")));
            lines.push(("grants", format!("[{}]", needs.join(", "))));
        }
        let verdict = match self.admission_millis.filter(|_| self.admitted) {
            Some(millis) => format!("yes, in {millis:.0} ms"),
            None => "no".to_owned(),
        };
        lines.push(("admitted", verdict));
        lines.push(("", String::new()));
        let lines: Vec<_> = lines
            .iter()
            .map(|(name, value)| format!("{name:<9} {value}").trim_end().to_owned())
            .collect();
        lines.join("\n")
    }
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(AsRef::as_ref).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
