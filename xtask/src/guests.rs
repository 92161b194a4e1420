//! `cargo xtask guests`: the templates of tenants' programs, written by `realm tenant new`, built by their own toolchains,
//! looked at and run by `realm tenant check` and `test`, and one of them served. A toolchain that this machine cannot have
//! leaves its language out, with the reason.

pub(crate) mod bindings;
mod cases;
mod language;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use self::{cases::Case, language::Language};
use crate::{demo_model, paths, program, shell};

/// The folder of built programs, in cargo's target folder. Tests find it by this variable.
const FOLDER: &str = "guests";
const FOLDER_VARIABLE: &str = "REALM_TEST_GUESTS";
/// The crate of Rust programs, a workspace of its own.
const CRATE: &str = "sdk/guest-rust";
/// The test that serves one of them.
const SERVED: &str = "api_guests";

/// Builds and tests every template.
///
/// # Errors
/// One does not build, is not admitted, or does not do what it is for.
pub fn run(root: &Path) -> Result<()> {
    let model = demo_model::ensure(root, &paths::model_store()?)?;
    // With the example, so that dependencies have the features that tests give them.
    let targets = ["--bin", "realm", "--example", "crd-yaml"];
    program::run(program::cargo(root).args(program::BUILD_AS_TESTS).args(targets))?;
    let realm = paths::target(root).join("debug/realm");
    let folder = paths::target(root).join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    test_crate(root, &folder)?;
    for language in Language::ALL {
        match language.missing() {
            Some(reason) => {
                println!("guests: the template in {} was left out: {reason}", language.word());
            }
            None => test_template(&folder, &realm, language)
                .with_context(|| format!("the template in {}", language.word()))?,
        }
    }
    if Language::Rust.missing().is_none() {
        serve(root, &folder, &model)?;
    }
    Ok(())
}

/// The Rust crate's own tests, on this machine.
fn test_crate(root: &Path, folder: &Path) -> Result<()> {
    let mut cargo = program::cargo(&root.join(CRATE));
    cargo.args(["test", "--quiet"]).env("CARGO_TARGET_DIR", folder.join("crate-target"));
    program::run(&mut cargo).context("test the crate realm-guest")
}

/// One language: written, built, looked at, run.
fn test_template(folder: &Path, realm: &Path, language: Language) -> Result<()> {
    let program = build(folder, realm, language)?;
    for case in cases::of(language) {
        let results = ask(realm, &program, &case)?;
        case.check(&results).with_context(|| format!("{} of {results:#}", case.name()))?;
    }
    let times = ask(realm, &program, &cases::times(language))?;
    let bytes = fs::metadata(&program).context("read the program's size")?.len();
    println!("guests: {} has {bytes} bytes; microseconds of a debug build:", language.word());
    for (hook, times) in times["micros"].as_object().into_iter().flatten() {
        let micros = |part: &str| times[part].as_f64().unwrap_or_default();
        println!("guests:   {hook}: p50 {:.1}, p99 {:.1}", micros("p50"), micros("p99"));
    }
    Ok(())
}

/// The program of a fresh copy of the template; what toolchains keep beside it is kept from run to run.
fn build(folder: &Path, realm: &Path, language: Language) -> Result<PathBuf> {
    let name = language.word();
    let source = folder.join(name);
    if source.exists() {
        fs::remove_dir_all(&source).with_context(|| format!("remove {}", source.display()))?;
    }
    let mut new = program::command(realm, folder);
    shell::output(new.args(["tenant", "new", "--lang", name, name]))?;
    let built = language.build(folder, &source, realm)?;
    let kept = folder.join(format!("{name}.wasm"));
    fs::copy(&built, &kept).with_context(|| format!("copy {}", built.display()))?;
    Ok(kept)
}

/// What `realm tenant` says to a case.
fn ask(realm: &Path, program: &Path, case: &Case) -> Result<Value> {
    let mut command = program::command(realm, program.parent().unwrap_or(program));
    let output = command
        .args(["tenant", case.verb])
        .arg(program)
        .args(["--json", "--programs", "compiled"])
        .args(&case.arguments)
        .output()
        .context("start realm")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() == case.succeeds,
        "{} ended with {}: {text}",
        case.name(),
        output.status
    );
    // Nothing when the program was refused before it ran.
    if output.stdout.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{}: {text}", case.name()))
}

/// The Rust program in a real server.
fn serve(root: &Path, folder: &Path, model: &Path) -> Result<()> {
    let arguments = ["test", "--workspace", "--exclude", "realm-tests", "--test", SERVED];
    program::run(
        program::cargo(root)
            .args(arguments)
            .env("REALM_TEST_MODEL", model)
            .env(FOLDER_VARIABLE, folder),
    )
}
