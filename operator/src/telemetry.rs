//! Logs as one JSON object a line.

use tracing_subscriber::EnvFilter;

/// Starts logging with a filter such as `info`.
pub fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| anyhow::anyhow!("failed to start logging: {error}"))
}
