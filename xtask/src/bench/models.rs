//! The model files: the demo model, and synthetic ones in the shapes of larger models, made when they are not there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{demo_model, paths, program};

/// The real model, and the tokenizer of the synthetic ones.
const DEMO: &str = "smollm2-q4_1.gguf";
/// The program that writes synthetic files.
const SYNTH: &str = "synth";

/// Shapes of synthetic models.
pub(crate) const LLAMA_1B: &str = "tinyllama-1.1b";
pub(crate) const LLAMA_7B: &str = "llama-2-7b";

/// A folder of models.
#[derive(Debug)]
pub(crate) struct Models {
    root: PathBuf,
    folder: PathBuf,
}

impl Models {
    /// Models in `folder`, which is made.
    pub(crate) fn new(root: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        Ok(Self { root: root.to_owned(), folder })
    }

    /// Where Realm keeps packed weights beside the models.
    pub(crate) fn packed(&self) -> Result<PathBuf> {
        let folder = self.folder.join("packed");
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(folder)
    }

    /// SmolLM2-135M-Instruct Q4_1.
    pub(crate) fn demo(&self) -> Result<PathBuf> {
        let here = self.folder.join(DEMO);
        if here.is_file() {
            Ok(here)
        } else {
            demo_model::ensure(&self.root, &paths::model_store()?)
        }
    }

    /// A model of that shape and mix of formats.
    pub(crate) fn synthetic(&self, shape: &str, quant: &str) -> Result<PathBuf> {
        let path = self.folder.join(format!("{shape}-{}.gguf", quant.to_lowercase()));
        if path.is_file() {
            return Ok(path);
        }
        let build = ["build", "--release", "--quiet", "--package", "realm-engine", "--example"];
        program::run(program::cargo(&self.root).args(build).arg(SYNTH))?;
        let synth = paths::target(&self.root).join("release/examples").join(SYNTH);
        eprintln!("bench: making {}", path.display());
        let mut command = program::command(synth, &self.root);
        command.args([shape, quant]).arg(&path).arg(self.demo()?);
        // Its one line of output is for people; ours is the table.
        crate::shell::quiet(&mut command)?;
        Ok(path)
    }
}
