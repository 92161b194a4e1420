//! Debian packages that are fetched with apt's own keys and sources and unpacked into a folder, never installed: the
//! compiler among them conflicts with rustup's by name. apt keeps its lists in that folder too, so no root is needed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::shell;

/// Parts of the system that are never taken from a package: a second C library beside the running one breaks programs.
const OF_THE_SYSTEM: [&str; 4] = ["libc6", "libgcc-s1", "libstdc++6", "gcc-12-base"];

/// apt with a state of its own.
#[derive(Debug)]
pub(super) struct Apt {
    state: PathBuf,
}

impl Apt {
    /// Reads the lists of the configured sources into `state`.
    pub(super) fn update(state: &Path) -> Result<Self> {
        for folder in ["lists/partial", "cache/archives/partial", "packages"] {
            let folder = state.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        }
        let apt = Self { state: state.to_owned() };
        shell::quiet(apt.command("apt-get").args(["--quiet", "update"]))
            .context("read Debian's package lists")?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let lists = format!("Dir::State::lists={}", self.state.join("lists").display());
        let cache = format!("Dir::Cache={}", self.state.join("cache").display());
        command.args(["-o", &lists, "-o", &cache, "-o", "APT::Sandbox::User="]);
        command.current_dir(self.state.join("packages")).stdin(Stdio::null()).env("LC_ALL", "C");
        command
    }

    /// A package and all that it depends on, without the running system's own libraries.
    pub(super) fn with_dependencies(&self, package: &str) -> Result<Vec<String>> {
        const OPTIONS: [&str; 7] = [
            "--recurse",
            "--no-recommends",
            "--no-suggests",
            "--no-conflicts",
            "--no-breaks",
            "--no-replaces",
            "--no-enhances",
        ];
        let text =
            shell::output(self.command("apt-cache").arg("depends").args(OPTIONS).arg(package))?;
        let names = text.lines().filter(|line| !line.starts_with([' ', '<']));
        let names: Vec<String> = names.map(str::to_owned).collect();
        ensure!(!names.is_empty(), "Debian's lists have no package {package}");
        Ok(names.into_iter().filter(|name| !OF_THE_SYSTEM.contains(&name.as_str())).collect())
    }

    /// Fetches packages; gives their files.
    pub(super) fn fetch(&self, packages: &[String]) -> Result<Vec<PathBuf>> {
        shell::quiet(self.command("apt-get").args(["--quiet", "download"]).args(packages))
            .with_context(|| format!("fetch the Debian packages {}", packages.join(" ")))?;
        let folder = self.state.join("packages");
        let entries =
            fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}

/// Unpacks those members of a package whose path is `wanted`.
pub(super) fn unpack(package: &Path, into: &Path, wanted: impl Fn(&Path) -> bool) -> Result<()> {
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("start dpkg-deb")?;
    let stream = reader.stdout.take().context("dpkg-deb has no output")?;
    let unpacked = unpack_members(stream, into, wanted);
    let status = reader.wait().context("wait for dpkg-deb")?;
    unpacked.with_context(|| format!("unpack {}", package.display()))?;
    ensure!(status.success(), "dpkg-deb cannot read {} ({status})", package.display());
    Ok(())
}

fn unpack_members(
    stream: impl std::io::Read,
    into: &Path,
    wanted: impl Fn(&Path) -> bool,
) -> Result<()> {
    let mut archive = tar::Archive::new(stream);
    archive.set_preserve_mtime(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if wanted(path.strip_prefix(".").unwrap_or(&path)) {
            entry.unpack_in(into)?;
        }
    }
    Ok(())
}
