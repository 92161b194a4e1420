//! `cargo xtask <verb>`: every chore of the repository, typed and the same on every machine.
#![forbid(unsafe_code)]

mod cluster;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Chores of the Realm repository")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// A real one-node Kubernetes from pinned sources: up, down, status
    Cluster(cluster::ClusterArgs),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().verb {
        Verb::Cluster(args) => cluster::run(&args),
    }
}
