//! The developer's and the tests' Kubernetes: build, start, stop.

#[derive(Debug, clap::Args)]
pub struct ClusterArgs {}

pub fn run(_args: &ClusterArgs) -> anyhow::Result<()> {
    anyhow::bail!("not written yet")
}
