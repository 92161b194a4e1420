//! The command line and environment of the operator, typed and checked before anything starts.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

/// Reconciles RealmModel and RealmTenant into engine-server pods.
#[derive(Clone, Debug, Parser)]
#[command(name = "realm-operator", version)]
pub struct Arguments {
    /// What to do; `run` when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings of `run`.
    #[command(flatten)]
    pub run: RunArguments,
}

/// What to do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Reconciles until it is told to stop.
    Run,
    /// Prints the CustomResourceDefinitions as YAML.
    Crd,
}

/// Settings of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    /// Image of the engine-server pods.
    #[arg(
        long,
        env = "REALM_ENGINE_IMAGE",
        default_value = "ghcr.io/querent-ai/realm:0.1.0",
        global = true
    )]
    pub engine_image: String,
    /// Mirror of Hugging Face that the pods download from.
    #[arg(long, env = "HF_ENDPOINT", global = true)]
    pub hf_endpoint: Option<String>,
    /// Namespace of the Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "realm-system", global = true)]
    pub namespace: String,
    /// Name of this process among the candidates for the Lease; a random one when left out.
    #[arg(long, env = "POD_NAME", global = true)]
    pub identity: Option<String>,
    /// Address of metrics and probes.
    #[arg(long, env = "REALM_ADMIN_ADDRESS", default_value = "0.0.0.0:8080", global = true)]
    pub admin_address: SocketAddr,
    /// What to log, such as info or realm_operator=debug.
    #[arg(long, env = "REALM_LOG", default_value = "info,kube=warn", global = true)]
    pub log: String,
}
