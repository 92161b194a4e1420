//! `realm tenant`: for authors of tenants' programs. A template to begin with, a component of what a compiler made, whether
//! a server would admit it, and what its hooks do and take. The server's own sandbox does the work.

mod build;
mod check;
mod decisions;
mod file;
mod host;
mod new;
mod recording;
mod replay;
mod samples;
mod templates;
mod terms;
mod test;
mod tokenizer;
mod wit;
mod workbench;

use clap::{Args, Subcommand};

/// For authors of tenants' programs: write, build, check and test one.
#[derive(Debug, Args)]
pub(super) struct TenantArgs {
    #[command(subcommand)]
    command: TenantCommand,
}

#[derive(Debug, Subcommand)]
enum TenantCommand {
    /// Writes a template of a program into a new folder
    New(new::NewArgs),
    /// Makes a component of the WebAssembly module that a compiler wrote
    Build(build::BuildArgs),
    /// Tells what a program imports and exports, and whether a server would admit it
    Check(check::CheckArgs),
    /// Runs a program's hooks on a recorded answer, and tells what they decide and how long they take
    Test(test::TestArgs),
}

/// Runs the command.
pub(super) fn run(args: &TenantArgs) -> anyhow::Result<()> {
    match &args.command {
        TenantCommand::New(args) => new::run(args),
        TenantCommand::Build(args) => build::run(args),
        TenantCommand::Check(args) => check::run(args),
        TenantCommand::Test(args) => test::run(args),
    }
}
