//! `realm tenant new`: a template in a new folder, with a README that says how to build, check and test it.

use std::{
    fs,
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;

use super::{super::exit::Exit, templates::Language};

/// Letters of a program's name.
const MAX_NAME: usize = 63;

/// Writes a template.
#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The language: rust, js or c
    #[arg(long)]
    lang: Language,
    /// Name of the program, and of the folder that is made
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// The folder that the new one is made in
    #[arg(long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
}

/// Runs the command.
pub(super) fn run(args: &NewArgs) -> anyhow::Result<()> {
    let folder = args.directory.join(&args.name);
    if folder.exists() {
        let reason = format!("{} exists already; choose another name", folder.display());
        return Err(Exit::Usage(reason).into());
    }
    for (path, text) in args.lang.files(&args.name) {
        let path = folder.join(path);
        let cannot = || format!("cannot write {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(cannot)?;
        }
        fs::write(&path, text).with_context(cannot)?;
    }
    writeln!(stdout(), "{}", folder.display())?;
    eprintln!("{} says how to build and test it", folder.join("README.md").display());
    Ok(())
}

/// What compilers and registries of all languages take for a name.
fn name(text: &str) -> Result<String, String> {
    let begins = text.starts_with(|letter: char| letter.is_ascii_lowercase());
    let rest =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if begins && text.chars().all(rest) && text.len() <= MAX_NAME {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected lower-case letters, digits and dashes, at most {MAX_NAME}, a letter first"
    ))
}
