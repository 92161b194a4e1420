//! Builds llama.cpp's tools from the source that PyPI's `llama-cpp-python` carries, once, in Realm's cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::llama::Llama;
use crate::{paths, program};

/// The package and its pinned version; its source distribution carries all of llama.cpp.
const PACKAGE: &str = "llama-cpp-python";
const VERSION: &str = "0.3.36";
/// Where llama.cpp lies in it.
const VENDORED: &str = "vendor/llama.cpp";
/// For this machine's CPU, as a user who wants speed builds it; no network, no user interface.
const CMAKE_OPTIONS: [&str; 8] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
];

/// The folder with the tools, built when they are not there.
pub(crate) fn ensure(root: &Path) -> Result<PathBuf> {
    let home = paths::cache()?.join("peers").join(format!("{PACKAGE}-{VERSION}"));
    let tools = home.join("build/bin");
    if Llama::TOOLS.iter().all(|tool| tools.join(tool).is_file()) {
        return Ok(tools);
    }
    fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
    eprintln!("bench: building llama.cpp in {} (some minutes, once)", home.display());
    let source = source(root, &home)?;
    let build = home.join("build");
    let mut configure = program::command("cmake", root);
    configure.arg("-S").arg(&source).arg("-B").arg(&build).args(CMAKE_OPTIONS);
    program::run(&mut configure).context("configure llama.cpp (needs cmake and a C++ compiler)")?;
    let mut make = program::command("cmake", root);
    make.arg("--build").arg(&build).arg("--parallel").arg("--target").args(Llama::TOOLS);
    program::run(&mut make).context("build llama.cpp")?;
    Ok(tools)
}

/// llama.cpp's source tree, fetched with pip and unpacked.
fn source(root: &Path, home: &Path) -> Result<PathBuf> {
    let name = format!("{}-{VERSION}", PACKAGE.replace('-', "_"));
    let tree = home.join(&name).join(VENDORED);
    let archive = home.join(format!("{name}.tar.gz"));
    if !archive.is_file() {
        let mut pip = program::command("python3", root);
        pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        pip.args(["--no-binary", PACKAGE, "--dest"]).arg(home);
        pip.arg(format!("{PACKAGE}=={VERSION}"));
        program::run(&mut pip)
            .context("fetch llama.cpp (needs Python 3.11 with pip and an index)")?;
    }
    let mut tar = program::command("tar", root);
    program::run(tar.arg("-xzf").arg(&archive).arg("-C").arg(home)).context("unpack llama.cpp")?;
    // The link to a repository that is not there makes cmake configure without end.
    let link = tree.join(".git");
    if link.exists() {
        fs::remove_file(&link).with_context(|| format!("remove {}", link.display()))?;
    }
    Ok(tree)
}
