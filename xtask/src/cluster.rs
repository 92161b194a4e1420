//! The developer's and the tests' Kubernetes: a real one-node cluster from pinned sources, in its own
//! network namespace. Only the order of the steps is here; each step is a file below.

mod addons;
mod binaries;
mod certificates;
mod cgroups;
mod components;
mod control_plane;
mod files;
mod images;
mod kernel_settings;
mod kubectl;
mod layout;
mod mount_namespace;
mod mounts;
mod network;
mod node;
mod prerequisites;
mod processes;
mod status;
mod teardown;

use std::{
    fs::{self, File},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::ExitStatus,
};

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;

use crate::{
    image, paths,
    shell::{self, Progress},
};

/// How much of a cluster to start: 1 API server, 2 controllers and scheduler, 3 a node that runs pods,
/// 4 DNS and Prometheus.
const FULL_LEVEL: u8 = 4;
/// The image of the tests' model, for image volumes.
const MODEL_IMAGE: &str = "realm.test/model:1";

/// Options of `cargo xtask cluster`.
#[derive(Debug, clap::Args)]
pub struct ClusterArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build the cluster's programs into the cache
    Build,
    /// Start the cluster, or what is missing of it; prints the path of its kubeconfig
    Up {
        /// 1: API server; 2: + controllers and scheduler; 3: + a node; 4: + DNS and Prometheus
        #[arg(long, default_value_t = FULL_LEVEL, value_parser = clap::value_parser!(u8).range(1..=4))]
        level: u8,
    },
    /// Stop the cluster and remove every trace of it
    Down,
    /// Say what runs
    Status,
    /// Run kubectl against the cluster
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Load image archives; without a name, those that `cargo xtask image` made
    LoadImages { archives: Vec<PathBuf> },
}

/// Runs one verb.
pub fn run(root: &Path, args: &ClusterArgs) -> Result<()> {
    let progress = Progress::new();
    match &args.verb {
        Verb::Build => build(root),
        Verb::Up { level } => {
            up(root, *level, &progress)?;
            println!("{}", layout::kubeconfig().display());
            Ok(())
        }
        Verb::Down => down(root),
        Verb::Status => status::print(),
        Verb::Kubectl { arguments } => pass_on(kubectl_status(arguments)?),
        Verb::LoadImages { archives } => load(root, archives, &progress),
    }
}

/// Builds every program of the cluster into the cache.
pub fn build(root: &Path) -> Result<()> {
    let progress = Progress::new();
    binaries::build(root, FULL_LEVEL, &progress)?;
    progress.say("the cluster's programs are built");
    Ok(())
}

/// Starts a fresh cluster with Realm's images and the model's image loaded, and gives the path of its
/// kubeconfig. Fresh, because an operator of an earlier build would go on running in an old one.
pub fn up_for_tests(root: &Path, model: &Path) -> Result<PathBuf> {
    let progress = Progress::new();
    let mut releases = image::build_release(root, &progress)?;
    releases.push(image::model(root, model, MODEL_IMAGE)?);
    down(root)?;
    up(root, FULL_LEVEL, &progress)?;
    for release in releases {
        images::load(&release.archive, &progress)?;
    }
    Ok(layout::kubeconfig())
}

/// Stops the cluster and removes every trace of it.
pub fn down(_root: &Path) -> Result<()> {
    let progress = Progress::new();
    let _lock = lock()?;
    teardown::run(&progress)
}

fn up(root: &Path, level: u8, progress: &Progress) -> Result<()> {
    prerequisites::ensure(progress)?;
    let binaries = binaries::build(root, level, progress)?;
    let _lock = lock()?;
    make_folders()?;
    link_programs(&binaries)?;
    certificates::ensure()?;
    kernel_settings::save()?;
    network::ensure()?;
    mount_namespace::ensure()?;
    control_plane::start_api(progress)?;
    if level >= 2 {
        control_plane::start_controllers()?;
    }
    if level >= 3 {
        cgroups::ensure()?;
        node::start_containerd(progress)?;
        images::load_own(&binaries, level, progress)?;
        node::start_kubelet()?;
        node::await_ready(progress)?;
    }
    if level >= 2 {
        control_plane::await_controllers(progress)?;
    }
    if level >= FULL_LEVEL {
        addons::start(root, &binaries, progress)?;
    }
    Ok(())
}

/// One start or stop at a time; held until the file is dropped.
fn lock() -> Result<File> {
    let path = "/run/lock/realm-cluster";
    let file = File::create(path).with_context(|| format!("create {path} (root is needed)"))?;
    file.lock().with_context(|| format!("lock {path}"))?;
    Ok(file)
}

/// The state holds the cluster's keys: only root may look in.
fn make_folders() -> Result<()> {
    for folder in [layout::state("log"), layout::state("bin"), layout::run("processes")] {
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(layout::STATE, private).context("close the state folder to others")
}

fn link_programs(binaries: &binaries::Binaries) -> Result<()> {
    for (name, file) in binaries.programs() {
        let link = layout::program(name);
        if fs::read_link(&link).is_ok_and(|target| target == file) {
            continue;
        }
        let scratch = link.with_extension("part");
        drop(fs::remove_file(&scratch));
        symlink(&file, &scratch).with_context(|| format!("link {name}"))?;
        fs::rename(&scratch, &link).with_context(|| format!("link {name}"))?;
    }
    Ok(())
}

fn kubectl_status(arguments: &[String]) -> Result<ExitStatus> {
    let mut command = kubectl::command();
    command
        .args(arguments)
        .status()
        .context("start kubectl; is the cluster up? (cargo xtask cluster up)")
}

/// Ends this process as the program that it ran has ended.
fn pass_on(status: ExitStatus) -> Result<()> {
    match status.code() {
        Some(0) => Ok(()),
        code => std::process::exit(code.unwrap_or(1)),
    }
}

fn load(root: &Path, archives: &[PathBuf], progress: &Progress) -> Result<()> {
    let mut files = archives.to_vec();
    if files.is_empty() {
        let folder = paths::target(root).join("images");
        let made = fs::read_dir(&folder)
            .with_context(|| format!("{}: run `cargo xtask image`", folder.display()))?;
        files = made.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|end| end == "tar"));
        files.sort();
    }
    ensure!(!files.is_empty(), "no image archive to load; run `cargo xtask image` first");
    let is_up = shell::succeeds(node::containerd_client().arg("version"));
    ensure!(is_up, "the cluster is not up; start it with `cargo xtask cluster up`");
    files.iter().try_for_each(|file| images::load(file, progress))
}
