//! `cargo xtask bench`: Realm beside llama.cpp on the same file, threads and machine, in turn, so that the machine's mood meets
//! both; the ratios are the result.
//!
//! The peer is built from the source that PyPI's `llama-cpp-python` carries, outside the repository. It runs in both its
//! forms, with its weights repacked and with `--no-repack`, and the better one counts. Prints Markdown; `--json` writes
//! every sample.

mod child;
mod formats;
mod llama;
mod machine;
mod models;
mod neighbour;
mod noisy_neighbour;
mod peer;
mod perplexity;
mod plan;
mod prefix;
mod prefix_timing;
mod quota;
mod realm;
mod report;
mod rounds;
mod row;
mod speed;
mod spread;
mod start;
mod tenants;

use std::{fs, num::NonZeroUsize, path::Path, path::PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

use self::{
    llama::Llama,
    models::Models,
    plan::{Part, Plan},
    realm::Realm,
    report::Report,
    rounds::Contestants,
};
use crate::{paths, program};

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Measure llama.cpp beside Realm; built from source the first time, which takes some minutes
    #[arg(long)]
    peer: bool,
    /// A folder with llama-bench, llama-batched-bench and llama-perplexity, instead of building them
    #[arg(long, value_name = "DIR", env = "REALM_BENCH_PEER", requires = "peer")]
    peer_tools: Option<PathBuf>,
    /// Where the models lie; those that are missing are made there [default: Realm's cache]
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// One round, fewer tokens, no 7B model: a first look in a few minutes
    #[arg(long)]
    quick: bool,
    /// Measure these parts only
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// Measure the prefill of every weight format as well
    #[arg(long)]
    formats: bool,
    /// Measure a tenant beside one that floods the server, and whether times tell it what the other asked; without other
    /// parts named, these alone
    #[arg(long)]
    noisy_neighbour: bool,
    /// How often Realm and the peer run in turn [default: 3, with --quick 1]
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<NonZeroUsize>,
    /// Threads of both [default: all CPUs]
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// Write all samples to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl BenchArgs {
    fn plan(&self) -> Plan {
        let parts = match self.only.as_slice() {
            [] if self.noisy_neighbour => vec![Part::NoisyNeighbour, Part::PrefixTiming],
            [] => Part::value_variants()
                .iter()
                .copied()
                .filter(|part| !matches!(part, Part::NoisyNeighbour | Part::PrefixTiming))
                .filter(|part| *part != Part::Formats || self.formats)
                .collect(),
            only => {
                let formats = self.formats.then_some(Part::Formats);
                let noisy = self.noisy_neighbour.then_some(Part::NoisyNeighbour);
                only.iter().copied().chain(formats).chain(noisy).collect()
            }
        };
        let rounds = self.rounds.map_or(if self.quick { 1 } else { 3 }, NonZeroUsize::get);
        let machine = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Plan { parts, rounds, threads: self.threads.unwrap_or(machine).get(), quick: self.quick }
    }
}

/// Runs the measurements and prints the table.
pub fn run(root: &Path, args: &BenchArgs) -> Result<()> {
    let plan = args.plan();
    let llama = match (args.peer, &args.peer_tools) {
        (false, _) => None,
        (true, Some(tools)) => Some(Llama::at(tools)?),
        (true, None) => Some(Llama::at(&peer::ensure(root)?)?),
    };
    eprintln!("bench: building realm");
    program::run(
        program::cargo(root)
            .args(["build", "--release", "--quiet"])
            .args(["--package", "realm-engine-server"]),
    )?;
    let folder = match &args.models {
        Some(folder) => folder.clone(),
        None => paths::cache()?.join("bench-models"),
    };
    let models = Models::new(root, &folder)?;
    let packed = models.packed()?;
    let realm = Realm::new(&paths::target(root).join("release/realm"), packed);
    let contestants = Contestants::new(realm, llama, plan.threads);
    let mut report = Report::new(root, &plan);
    for part in &plan.parts {
        // What was measured before is worth printing whatever happens to a later part.
        if let Err(error) = measure(*part, root, &plan, &contestants, &models, &mut report) {
            report.failed(*part, &error);
        }
    }
    print!("{}", report.markdown());
    if let Some(path) = &args.json {
        fs::write(path, format!("{:#}\n", report.json()))
            .with_context(|| format!("write {}", path.display()))?;
    }
    report.outcome()
}

fn measure(
    part: Part,
    root: &Path,
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    match part {
        Part::Prefill | Part::Decode => speed::single(part, plan, contestants, models, report),
        Part::Batched => speed::batched(plan, contestants, models, report),
        Part::Prefix => prefix::measure(plan, contestants, models, report),
        Part::Formats => formats::measure(plan, contestants, models, report),
        Part::Neighbour => neighbour::measure(plan, contestants, models, report),
        Part::PrefixTiming => prefix_timing::measure(contestants.binary(), plan, models, report),
        Part::NoisyNeighbour => {
            noisy_neighbour::measure(contestants.binary(), plan, models, report)
        }
        Part::Quota => quota::measure(plan, contestants, models, report),
        Part::Start => start::start(plan, contestants, models, report),
        Part::Memory => start::memory(plan, contestants, models, report),
        Part::Perplexity => perplexity::measure(root, plan, contestants, models, report),
    }
}
