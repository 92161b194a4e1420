//! `realm tenant build`: a component of a core module. Compilers write modules; bindings leave a description of their world in
//! them, and where there is none the command line names the world.

use std::{
    fs,
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata, metadata};

use super::{super::exit::Exit, file, wit::World};
use crate::digest::Digest;

/// Bytes of a module, which may hold much that its component does not.
const MAX_MODULE_BYTES: usize = 64 << 20;
/// What names of modules begin with that a program would import of WASI.
const WASI: &str = "wasi";

/// Makes a component of a core module.
#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// The module
    #[arg(value_name = "MODULE")]
    module: PathBuf,
    /// Where the component goes [default: beside the module, with the ending .component.wasm]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The world of a module that does not say which it is of: guard, filter, sampler or program
    #[arg(long)]
    world: Option<World>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &BuildArgs) -> anyhow::Result<()> {
    let module = file::read(&args.module, MAX_MODULE_BYTES)?;
    let component = component(module, args.world)?;
    let output =
        args.output.clone().unwrap_or_else(|| args.module.with_extension("component.wasm"));
    fs::write(&output, &component).with_context(|| format!("cannot write {}", output.display()))?;
    let (bytes, sha256) = (component.len(), Digest::of(&component));
    if args.json {
        let json = json!({ "file": output, "bytes": bytes, "sha256": sha256.as_str() });
        writeln!(stdout(), "{json}")?;
    } else {
        writeln!(stdout(), "{}  {bytes} bytes  sha256 {}", output.display(), sha256.as_str())?;
    }
    Ok(())
}

/// The module as a component.
fn component(mut module: Vec<u8>, world: Option<World>) -> anyhow::Result<Vec<u8>> {
    if Parser::is_component(&module) {
        bail!("the file is a component already; `realm tenant check` looks at it");
    }
    let wasi = wasi_imports(&module).context("the file is no WebAssembly module")?;
    if !wasi.is_empty() {
        bail!(
            "the module calls WASI ({}), which programs have not: build it for wasm32-unknown-unknown, or without what needs a system",
            wasi.join(", ")
        );
    }
    let (described, _) = metadata::decode(&module)?;
    match (world, described.is_some()) {
        (Some(world), false) => {
            let (resolve, world) = world.resolve()?;
            embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        }
        (None, false) => {
            let reason = "the module does not say which world it is of; name it with --world";
            return Err(Exit::Usage(reason.to_owned()).into());
        }
        (_, true) => {}
    }
    let encoder = ComponentEncoder::default().validate(true).module(&module);
    encoder
        .and_then(|mut encoder| encoder.encode())
        .context("the module does not fit the interfaces of realm:tenant@0.1.0")
}

/// Names of the functions that the module wants of WASI.
fn wasi_imports(module: &[u8]) -> Result<Vec<String>, wasmparser::BinaryReaderError> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::ImportSection(imports) = payload? else { continue };
        for import in imports.into_imports() {
            let import = import?;
            if import.module.starts_with(WASI) {
                names.push(import.name.to_owned());
            }
        }
    }
    Ok(names)
}
