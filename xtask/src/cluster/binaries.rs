//! Builds the Go modules of `tests/cluster` into the user's cache, once per source: the folder's name
//! is a digest of everything that decides the result. Starts nothing.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::{
    cluster::components::{COMPONENTS, Component},
    paths,
    shell::{self, Progress},
};

/// Raised when the same sources shall give another result, for a change in this file.
const RECIPE: &str = "realm cluster binaries 1";
/// Compiler settings of every module: no debug tables, which also saves a tenth of the time.
const GO_FLAGS: &str = "-gcflags=all=-dwarf=false -buildvcs=false -mod=readonly";
/// Hexadecimal digits of the digest in a folder's name.
const KEY_DIGITS: usize = 16;
/// Builds kept of each component, for switching between branches.
const BUILDS_KEPT: usize = 3;
/// How often a long build says that it still runs.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The folders that hold the programs of each component.
#[derive(Debug)]
pub(crate) struct Binaries {
    folders: BTreeMap<&'static str, PathBuf>,
}

impl Binaries {
    /// A program or file of a component.
    pub(crate) fn file(&self, component: &str, name: &str) -> Result<PathBuf> {
        let folder = self.folder(component)?;
        Ok(folder.join(name))
    }

    /// The folder of a component; its name is the key of its sources.
    pub(crate) fn folder(&self, component: &str) -> Result<&Path> {
        let folder = self.folders.get(component);
        folder.map(PathBuf::as_path).with_context(|| format!("component {component} was not built"))
    }

    /// Every name by which a program is called, and its file.
    pub(crate) fn programs(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let built = COMPONENTS.iter().filter_map(|one| Some((one, self.folders.get(one.name)?)));
        built.flat_map(|(one, folder)| {
            let own = one.programs.iter().map(|name| (*name, folder.join(name)));
            let links = one.links.iter().map(|name| (*name, folder.join(one.programs[0])));
            own.chain(links).collect::<Vec<_>>()
        })
    }
}

/// Builds what is not in the cache and is needed up to `level`.
///
/// # Errors
/// Go is missing or too old, a module cannot be fetched, the build fails: with the end of its log.
pub(crate) fn build(root: &Path, level: u8, progress: &Progress) -> Result<Binaries> {
    let cache = paths::cache()?.join("cluster");
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let lock = File::create(cache.join(".lock")).context("create the cache's lock")?;
    lock.lock().context("lock the cache")?;
    let go = go_version()?;
    let mut folders = BTreeMap::new();
    for component in COMPONENTS.iter().filter(|component| component.level <= level) {
        let source = root.join("tests/cluster").join(component.name);
        let home = cache.join(component.name);
        let folder = home.join(key(component, &source, &go)?);
        if !folder.is_dir() {
            make(component, &source, &folder, progress)?;
            prune(&home, &folder)?;
        }
        folders.insert(component.name, folder);
    }
    Ok(Binaries { folders })
}

fn go_version() -> Result<String> {
    let version = shell::output(Command::new("go").args(["env", "GOVERSION", "GOOS", "GOARCH"]))
        .context("Go 1.26 or newer builds the test cluster; install it from https://go.dev/dl/")?;
    Ok(version.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The digest of all that decides what a build gives.
fn key(component: &Component, source: &Path, go: &str) -> Result<String> {
    let mut digest = Sha256::new();
    for word in [RECIPE, go, GO_FLAGS, component.package, component.tags, component.linker] {
        digest.update(word.as_bytes());
        digest.update([0]);
    }
    for file in sources(source)? {
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        digest.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    let mut name = hex::encode(digest.finalize());
    name.truncate(KEY_DIGITS);
    Ok(name)
}

/// The files of a module, in a fixed order.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| {
        file.extension().is_some_and(|end| ["go", "mod", "sum"].iter().any(|e| end == *e))
    });
    files.sort();
    Ok(files)
}

/// Builds into a scratch folder, which gets its final name only when it is whole.
fn make(component: &Component, source: &Path, folder: &Path, progress: &Progress) -> Result<()> {
    let start = Instant::now();
    let scratch = folder.with_extension("part");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
    }
    fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
    progress.say(format_args!(
        "building {} (log: {})",
        component.name,
        scratch.join("log").display()
    ));
    compile(component, source, &scratch, progress)?;
    for (module, file) in component.files {
        copy_module_file(source, module, file, &scratch)?;
    }
    for program in component.programs {
        anyhow::ensure!(
            scratch.join(program).is_file(),
            "building {} gave no program {program}",
            component.name
        );
    }
    fs::rename(&scratch, folder).with_context(|| format!("name {}", folder.display()))?;
    progress.say(format_args!("built {} in {} s", component.name, start.elapsed().as_secs()));
    Ok(())
}

fn compile(
    component: &Component,
    source: &Path,
    scratch: &Path,
    progress: &Progress,
) -> Result<()> {
    let log_path = scratch.join("log");
    let log = File::create(&log_path).with_context(|| format!("create {}", log_path.display()))?;
    let mut out = scratch.as_os_str().to_owned();
    out.push("/");
    let mut child = Command::new("go")
        .current_dir(source)
        .args(["build", "-trimpath", "-tags", component.tags, "-ldflags", component.linker, "-o"])
        .arg(out)
        .arg(component.package)
        .env("GOFLAGS", GO_FLAGS)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("share the build log")?)
        .stderr(log)
        .spawn()
        .context("start go build")?;
    let mut said = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().context("wait for go build")? {
            break status;
        }
        if said.elapsed() > HEARTBEAT {
            said = Instant::now();
            progress.say(format_args!("still building {}", component.name));
        }
        thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        let text = fs::read_to_string(&log_path).unwrap_or_default();
        bail!("go build of {} failed ({status}):\n{}", source.display(), shell::tail(&text));
    }
    Ok(())
}

/// Copies a file that a Go module ships, so that a warm machine needs no module cache.
fn copy_module_file(source: &Path, module: &str, file: &str, to: &Path) -> Result<()> {
    let listed = Command::new("go")
        .current_dir(source)
        .args(["list", "-m", "-f", "{{.Dir}}", module])
        .env("GOFLAGS", "-mod=readonly")
        .output()
        .context("start go list")?;
    let folder = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    anyhow::ensure!(
        listed.status.success() && !folder.is_empty(),
        "go list finds no module {module}"
    );
    let bytes =
        fs::read(Path::new(&folder).join(file)).with_context(|| format!("{file} of {module}"))?;
    fs::write(to.join(file), bytes).with_context(|| format!("write {file}"))
}

/// Removes the oldest builds of a component beyond those that are kept.
fn prune(home: &Path, newest: &Path) -> Result<()> {
    let mut old = Vec::new();
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        if entry.path() != newest {
            old.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    old.sort();
    let surplus = (old.len() + 1).saturating_sub(BUILDS_KEPT);
    for (_, folder) in old.into_iter().take(surplus) {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}
