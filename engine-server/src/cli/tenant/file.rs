//! The file of a program, read within a bound.

use std::{fs::File, io::Read, path::Path};

use anyhow::Context;

use super::super::exit::Exit;

/// Bytes of a file.
pub(super) type Bytes = Vec<u8>;

/// Reads a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: usize) -> anyhow::Result<Bytes> {
    if !path.is_file() {
        return Err(Exit::NotFound(format!("there is no file {}", path.display())).into());
    }
    let cannot = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(cannot)?;
    file.take(limit as u64 + 1).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() > limit {
        anyhow::bail!("{} has more than {limit} bytes", path.display());
    }
    Ok(bytes)
}
