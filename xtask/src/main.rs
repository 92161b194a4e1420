//! `cargo xtask <verb>`: every chore of the repository, typed and the same on every machine.
#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use xtask::{bench, cluster, codegen, cross, demo, guests, image, paths, sdk, test, tidy};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Chores of the Realm repository")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Fetch the demo model, serve the example manifest, show an answer, keep serving
    Demo(demo::DemoArgs),
    /// Run every test, the real Kubernetes included
    Test(test::TestArgs),
    /// Write the generated files: CRDs, command-line reference
    Codegen,
    /// Measure Realm, and llama.cpp beside it
    Bench(bench::BenchArgs),
    /// Check structure: layers, circles, sizes, stale generated files
    Tidy,
    /// A real one-node Kubernetes from pinned sources: build, up, down, status
    Cluster(cluster::ClusterArgs),
    /// Make the container images of static binaries below target/images
    Image(image::ImageArgs),
    /// Build the templates of tenants' programs, look at them, run and serve them
    Guests,
    /// Check and pack the client libraries, and test them against the real server
    Sdk,
    /// A compiler, linker and runner for another kind of CPU; prints the variables to set
    Toolchain(cross::ToolchainArgs),
}

fn main() -> anyhow::Result<()> {
    let root = paths::root()?;
    match Args::parse().verb {
        Verb::Demo(args) => demo::run(&root, &args),
        Verb::Test(args) => test::run(&root, &args),
        Verb::Codegen => codegen::run(&root),
        Verb::Bench(args) => bench::run(&root, &args),
        Verb::Tidy => tidy::run(&root),
        Verb::Cluster(args) => cluster::run(&root, &args),
        Verb::Image(args) => image::run(&root, &args),
        Verb::Guests => guests::run(&root),
        Verb::Sdk => sdk::run(&root),
        Verb::Toolchain(args) => cross::run(&root, &args),
    }
}
