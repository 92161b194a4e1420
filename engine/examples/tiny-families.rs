//! Writes a tiny model of each family for the reference to run:
//! `cargo run -p realm-engine --example tiny-families -- FOLDER`. See `reference/golden_families.py`.
#![allow(clippy::expect_used, reason = "a tool of developers ends where something is wrong")]

#[path = "../tests/support/families.rs"]
#[allow(dead_code, reason = "the tests look at more of a case")]
mod families;
#[path = "../tests/support/tiny_model.rs"]
mod tiny_model;

use std::{fs, path::PathBuf};

fn main() -> anyhow::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        anyhow::bail!("say which folder the models go to");
    };
    fs::create_dir_all(&folder)?;
    for case in families::cases() {
        case.model.write(&folder.join(format!("{}.gguf", case.name)));
    }
    let prompt = families::prompt().iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    fs::write(folder.join("prompt.txt"), prompt)?;
    Ok(())
}
