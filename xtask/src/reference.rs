//! Reference data from independent implementations: a virtual environment with pinned packages, and the scripts that
//! compute golden blocks and tokens again and compare them with what is committed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{paths, program};

/// Pinned packages of the reference tools that install as wheels everywhere.
const REQUIREMENTS: &str = "engine/reference/requirements.txt";
/// Compares the golden blocks with what the `gguf` package gives now.
const SCRIPT: &str = "engine/reference/quant_golden.py";
/// Compares the golden tokens with what the models' tokenizer libraries give now.
const TOKENIZER_SCRIPT: &str = "engine/reference/golden_tokenizer_families.py";
/// The program whose bytes the script hands to `gguf`.
const QUANTIZER: &str = "quantize-row";

/// Computes the golden blocks and tokens anew and compares.
pub(crate) fn check(root: &Path) -> Result<()> {
    let example = ["--example", QUANTIZER];
    program::run(program::cargo(root).args(program::BUILD_AS_TESTS).args(example))?;
    let quantizer = paths::target(root).join("debug/examples").join(QUANTIZER);
    let python = environment(root)?;
    program::run(program::command(&python, root).arg(SCRIPT).arg(quantizer).arg("--check"))
        .context("compare the golden blocks with the gguf package")?;
    program::run(program::command(&python, root).arg(TOKENIZER_SCRIPT).arg("--check"))
        .context("compare the golden tokens with the tokenizer libraries")
}

/// The Python of a virtual environment that holds the pinned packages.
fn environment(root: &Path) -> Result<PathBuf> {
    let folder = paths::target(root).join("reference-venv");
    let python = folder.join("bin/python");
    if !python.is_file() {
        program::run(program::command("python3", root).args(["-m", "venv"]).arg(&folder))
            .context("make a virtual environment (needs Python 3.11 with venv)")?;
    }
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS];
    program::run(program::command(&python, root).args(install))
        .context("install the reference packages")?;
    Ok(python)
}
