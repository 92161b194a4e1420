//! The command line: what the user typed, the command that does it, and the exit code that says how it went.

use std::{
    ffi::OsString,
    io::{Write, stdout},
    process::ExitCode,
};

use clap::{Args, CommandFactory, Parser, Subcommand};

mod bench;
mod chat;
mod compiler;
mod download;
mod exit;
mod generation;
mod laptop;
mod list;
mod model_word;
mod progress;
mod question;
mod reference;
mod run;
mod serve;
mod signals;
mod source;
mod surroundings;
mod tenant;
mod welcome;

/// Realm: language models for many tenants, on a laptop and on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "realm", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves a model with an OpenAI-compatible API
    Serve(Box<serve::ServeArgs>),
    /// Answers a prompt, or holds a conversation, without a server
    Run(Box<run::RunArgs>),
    /// Measures how fast this machine runs a model
    Bench(Box<bench::BenchArgs>),
    /// Lists the models in the store
    List(list::ListArgs),
    /// Downloads models into the store: resumable, verified, never half
    Download(download::DownloadArgs),
    /// For authors of tenants' programs: write, build, check and test one
    Tenant(tenant::TenantArgs),
    /// Prints the version
    Version(VersionArgs),
    /// Prints the reference of the command line as Markdown
    #[command(hide = true)]
    HelpMarkdown,
    /// Compiles a tenant's program from standard input, within limits; the server starts this itself
    #[command(hide = true)]
    CompileProgram(CompileProgramArgs),
}

/// Prints the version.
#[derive(Debug, Args)]
struct VersionArgs {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Limits of the compiler's process.
#[derive(Debug, Args)]
struct CompileProgramArgs {
    /// As the sandbox writes them
    limits: Vec<OsString>,
}

/// Parses the process's arguments, runs the command, prints its error.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before any thread is started: this process lowers its own limits.
    if let Command::CompileProgram(args) = cli.command {
        return realm_sandbox::admission::child_main(args.limits);
    }
    match start(cli.command) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::from(exit::OK),
        Err(error) => {
            // Nobody is left to tell when even standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(exit::code_of(&error))
        }
    }
}

/// The reference of the command line: the content of `docs/cli.md`.
pub fn reference_markdown() -> String {
    let mut command = Cli::command();
    command.build();
    reference::markdown(&command)
}

fn start(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(dispatch(command));
    // Threads that still read or compute must not hold up the end.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => Box::pin(serve::run(*args)).await,
        Command::Run(args) => run::run(*args).await,
        Command::Bench(args) => Box::pin(bench::run(*args)).await,
        Command::List(args) => list::run(&args),
        Command::Download(args) => download::run(args).await,
        Command::Tenant(args) => tenant::run(&args),
        Command::Version(args) => version(&args),
        Command::CompileProgram(_) => anyhow::bail!("the compiler runs without a runtime"),
        Command::HelpMarkdown => Ok(write!(stdout(), "{}", reference_markdown())?),
    }
}

fn version(args: &VersionArgs) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let platform = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    if args.json {
        writeln!(stdout(), "{}", serde_json::json!({ "version": version, "platform": platform }))?;
    } else {
        writeln!(stdout(), "realm {version} ({platform})")?;
    }
    Ok(())
}
