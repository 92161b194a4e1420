//! The languages of templates, and how each is built: with the commands of its README.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{cross::guests::GuestCompiler, program, shell};

/// The C compiler of the C template, as a Python package.
const ZIG: &str = "ziglang==0.17.1";

/// A language that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    C,
    Js,
}

impl Language {
    pub(super) const ALL: [Self; 3] = [Self::Rust, Self::C, Self::Js];

    /// As `realm tenant new` takes it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Js => "js",
        }
    }

    /// Why it cannot be built here, if so.
    pub(super) fn missing(self) -> Option<String> {
        let absent = |name: &str| {
            shell::find_program(name).is_none().then(|| format!("there is no `{name}` in PATH"))
        };
        match self {
            Self::Rust => GuestCompiler::missing(),
            Self::C => absent("make").or_else(|| absent("python3")),
            Self::Js => absent("npm"),
        }
    }

    /// Builds the template in `source`; gives the component's file.
    pub(super) fn build(self, folder: &Path, source: &Path, realm: &Path) -> Result<PathBuf> {
        match self {
            Self::Rust => rust(folder, source, realm),
            Self::C => c(folder, source, realm),
            Self::Js => js(source),
        }
    }
}

fn rust(folder: &Path, source: &Path, realm: &Path) -> Result<PathBuf> {
    let compiler = GuestCompiler::ensure()?;
    let target = folder.join("rust-target");
    let mut cargo = compiler.cargo(source);
    cargo.args(["build", "--quiet", "--release", "--target", GuestCompiler::triple()]);
    // The toolchain's own standard library holds no bitcode.
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "false");
    program::run(cargo.env("CARGO_TARGET_DIR", &target)).context("build it")?;
    let module = target.join(GuestCompiler::triple()).join("release/rust.wasm");
    let component = source.join("program.wasm");
    let mut build = program::command(realm, source);
    build.args(["tenant", "build"]).arg(module).arg("--output").arg(&component);
    program::run(&mut build)?;
    Ok(component)
}

fn c(folder: &Path, source: &Path, realm: &Path) -> Result<PathBuf> {
    let python = python_with_zig(folder)?;
    let compiler = format!("CC={} -m ziglang cc", python.display());
    let realm = format!("REALM={}", realm.display());
    program::run(program::command("make", source).args(["--silent", &compiler, &realm]))?;
    Ok(source.join("program.wasm"))
}

fn js(source: &Path) -> Result<PathBuf> {
    let npm = |words: &[&str]| -> Command {
        let mut command = program::command("npm", source);
        command.args(words);
        command
    };
    shell::quiet(&mut npm(&["install", "--no-audit", "--no-fund"]))?;
    shell::quiet(&mut npm(&["run", "build"]))?;
    Ok(source.join("program.wasm"))
}

/// The Python of a virtual environment that holds the C compiler.
fn python_with_zig(folder: &Path) -> Result<PathBuf> {
    let environment = folder.join("venv");
    let python = environment.join("bin/python");
    if !python.is_file() {
        program::run(program::command("python3", folder).args(["-m", "venv"]).arg(&environment))
            .context("make a virtual environment (needs Python 3.11 with venv)")?;
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ZIG];
    program::run(program::command(&python, folder).args(install)).context("install zig")?;
    Ok(python)
}
