//! A Rust compiler with the code generators that rustup's lacks libraries for, its sources, linkers, C libraries and an
//! emulator: Debian packages, unpacked once into the user's cache. Standard libraries are built beside it when asked.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{
    packages::{self, Apt},
    target::Target,
};
use crate::{paths, program, shell::Progress};

/// Raised when the same packages shall give another tree, for a change in these files.
const RECIPE: &str = "1";
/// The packages wanted by name; those with a version in their name are found by what depends on them.
const PACKAGES: [&str; 5] =
    ["rustc-web", "rust-web-src", "qemu-user-static", "wasi-libc", "libc6-dev-arm64-cross"];
/// Depends on the standard library of the build machine, the compiler's own library and LLVM.
const COMPILER: &str = "libstd-rust-web-dev";
/// Depends on the support library of code that compilers make for Arm.
const CROSS_COMPILER: &str = "gcc-aarch64-linux-gnu";
/// Crates of the standard library that tests need; the others come with them.
pub(super) const STD: &str = "-Zbuild-std=std,panic_abort,test";

/// What names of folders begin with that are built in and then removed.
const SCRATCH: &str = ".part-";

/// The compiler counts as a stable release; this lets it build its own library.
pub(super) const ALLOW_STD: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");

/// The unpacked tree.
#[derive(Debug)]
pub(super) struct Toolchain {
    tree: PathBuf,
    home: PathBuf,
    /// Held while it is in use, so that nobody else builds into it.
    _lock: File,
}

impl Toolchain {
    /// Why this machine cannot have the toolchain, if so.
    pub(super) fn missing() -> Option<String> {
        if !Path::new("/etc/debian_version").is_file() {
            return Some("they are made of Debian packages, and this is not Debian".to_owned());
        }
        let arch = std::env::consts::ARCH;
        (arch != "x86_64").then(|| format!("they are made for x86_64, and this is {arch}"))
    }

    /// Takes the tree from the cache, or makes it.
    ///
    /// # Errors
    /// Packages cannot be fetched or unpacked.
    pub(super) fn ensure(progress: &Progress) -> Result<Self> {
        if let Some(reason) = Self::missing() {
            bail!("no toolchains for other CPUs here: {reason}");
        }
        let home = paths::cache()?.join("toolchains");
        fs::create_dir_all(&home).with_context(|| format!("create {}", home.display()))?;
        let lock = File::create(home.join(".lock")).context("create the toolchains' lock")?;
        lock.lock().context("lock the toolchains")?;
        remove_leftovers(&home)?;
        let tree = home.join(format!("debian-{}-{RECIPE}", debian_release()?));
        if !tree.is_dir() {
            make(&home, &tree, progress)?;
        }
        Ok(Self { tree, home, _lock: lock })
    }

    /// The folder that holds `usr`.
    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// Builds the standard libraries that are not there yet, all in one go.
    pub(super) fn ensure_std(&self, targets: &[Target], progress: &Progress) -> Result<()> {
        let triples: Vec<&str> = targets.iter().map(|target| target.triple()).collect();
        let absent: Vec<&str> =
            triples.into_iter().filter(|triple| !self.library(triple).is_dir()).collect();
        if absent.is_empty() {
            return Ok(());
        }
        progress.say(format_args!("building the standard library for {}", absent.join(", ")));
        let scratch = scratch_folder(&self.home)?;
        write_empty_crate(scratch.path())?;
        let mut cargo = self.cargo(scratch.path());
        cargo.args(["build", "--quiet", "--release", "--lib", STD]).envs([ALLOW_STD]);
        cargo.env("CARGO_TARGET_DIR", scratch.path().join("target"));
        cargo.args(absent.iter().flat_map(|triple| ["--target", triple]));
        program::run(&mut cargo).context("build the standard library")?;
        absent.iter().try_for_each(|triple| self.keep_std(scratch.path(), triple))
    }

    /// Where rustc looks for the libraries of a target.
    fn library(&self, triple: &str) -> PathBuf {
        self.tree.join("usr/lib/rustlib").join(triple).join("lib")
    }

    /// Moves what was built to its place, which appears only when it is whole.
    fn keep_std(&self, scratch: &Path, triple: &str) -> Result<()> {
        let built = scratch.join("target").join(triple).join("release/deps");
        let library = self.library(triple);
        let part = library.with_extension("part");
        if part.exists() {
            fs::remove_dir_all(&part).with_context(|| format!("remove {}", part.display()))?;
        }
        fs::create_dir_all(&part).with_context(|| format!("create {}", part.display()))?;
        for entry in fs::read_dir(&built).with_context(|| format!("read {}", built.display()))? {
            let file = entry?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_library = file.extension().is_some_and(|end| end == "rlib");
            if is_library && !name.starts_with("libempty-") {
                fs::rename(&file, part.join(&name)).with_context(|| format!("keep {name}"))?;
            }
        }
        fs::rename(&part, &library).with_context(|| format!("name {}", library.display()))
    }

    /// `cargo` in `folder` with this compiler.
    pub(super) fn cargo(&self, folder: &Path) -> Command {
        let mut cargo = program::cargo(folder);
        for (name, value) in self.variables() {
            cargo.env(name, value);
        }
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER"] {
            cargo.env_remove(name);
        }
        cargo
    }

    /// Variables that make cargo use this compiler.
    pub(super) fn variables(&self) -> [(&'static str, String); 3] {
        let usr = self.tree.join("usr");
        let linkers = usr.join("lib/llvm/bin");
        let before = |name: &str, folders: &[PathBuf]| {
            let rest = std::env::var_os(name).unwrap_or_default();
            let all = folders.iter().cloned().chain(std::env::split_paths(&rest));
            let all = all.map(|folder| folder.display().to_string());
            let all: Vec<String> = all.filter(|folder| !folder.is_empty()).collect();
            all.join(":")
        };
        [
            ("RUSTC", usr.join("bin/rustc").display().to_string()),
            ("PATH", before("PATH", &[linkers, usr.join("bin")])),
            ("LD_LIBRARY_PATH", before("LD_LIBRARY_PATH", &[usr.join("lib/x86_64-linux-gnu")])),
        ]
    }
}

/// What a run that was ended had begun to build; the lock is held, so nobody builds there now.
fn remove_leftovers(home: &Path) -> Result<()> {
    for entry in fs::read_dir(home).with_context(|| format!("read {}", home.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(SCRATCH) {
            fs::remove_dir_all(entry.path()).context("remove the rest of an ended run")?;
        }
    }
    Ok(())
}

/// A folder beside the trees that goes with the value.
fn scratch_folder(home: &Path) -> Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(SCRATCH).tempdir_in(home).context("make a folder to build in")
}

fn debian_release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("/etc/os-release names no VERSION_CODENAME")?.trim_matches('"').to_owned())
}

/// Fetches and unpacks into a scratch folder, which gets its final name only when it is whole.
fn make(home: &Path, tree: &Path, progress: &Progress) -> Result<()> {
    progress.say("fetching a compiler, linkers and an emulator for other CPUs (210 MB, once)");
    let scratch = scratch_folder(home)?;
    let apt = Apt::update(&scratch.path().join("apt"))?;
    let whole = scratch.path().join("tree");
    fs::create_dir(&whole).context("create the tree")?;
    for package in apt.fetch(&wanted_packages(&apt)?)? {
        packages::unpack(&package, &whole, is_needed)?;
    }
    link_linkers(&whole)?;
    fs::rename(&whole, tree).with_context(|| format!("name {}", tree.display()))
}

fn wanted_packages(apt: &Apt) -> Result<Vec<String>> {
    let mut names: Vec<String> = PACKAGES.map(str::to_owned).to_vec();
    let compiler = apt.with_dependencies(COMPILER)?;
    let llvm = compiler.iter().find_map(|name| name.strip_prefix("libllvm"));
    names.push(format!("lld-{}", llvm.context("the compiler depends on no libllvm")?));
    names.extend(compiler);
    let support = apt
        .with_dependencies(CROSS_COMPILER)?
        .into_iter()
        .find(|name| name.starts_with("libgcc-") && name.ends_with("-dev-arm64-cross"));
    names.push(support.with_context(|| format!("{CROSS_COMPILER} depends on no libgcc"))?);
    Ok(names)
}

/// A tenth of the files: no documentation, of the sources only the library, of the emulators only Arm's.
fn is_needed(path: &Path) -> bool {
    let below = |folder: &str| path.starts_with(folder);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("qemu-") {
        return name == "qemu-aarch64-static";
    }
    if below("usr/src") {
        // usr/src/rustc-1.2.3/library/...
        return path.components().nth(3).is_none_or(|part| part.as_os_str() == "library");
    }
    !below("usr/share") && !below("etc")
}

/// Names without a version for the folder of linkers and for the linker of WebAssembly.
fn link_linkers(tree: &Path) -> Result<()> {
    let usr = tree.join("usr");
    let entries = fs::read_dir(usr.join("lib")).context("read the tree's usr/lib")?;
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let folder =
        names.find(|name| name.starts_with("llvm-")).context("no package has LLVM's linkers")?;
    std::os::unix::fs::symlink(&folder, usr.join("lib/llvm")).context("link the linkers")?;
    let linker = usr.join("lib/llvm/bin/rust-lld");
    std::os::unix::fs::symlink("lld", linker).context("link rust-lld")
}

/// A crate with nothing in it: what cargo builds before it is the standard library.
fn write_empty_crate(folder: &Path) -> Result<()> {
    let manifest = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
                    [profile.release]\nopt-level = 1\ncodegen-units = 16\n";
    fs::write(folder.join("Cargo.toml"), manifest).context("write a manifest")?;
    fs::create_dir(folder.join("src")).context("create src")?;
    fs::write(folder.join("src/lib.rs"), "#![no_std]\n").context("write a source file")
}
