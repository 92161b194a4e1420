//! The host's mount table, and the taking away of our part of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::mount::{UnmountFlags, unmount};

/// One line of the mount table.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) path: PathBuf,
    /// File system type, such as `cgroup2`.
    pub(crate) kind: String,
}

/// All mounts that this process sees, oldest first.
pub(crate) fn all() -> Result<Vec<Mount>> {
    let table = fs::read_to_string("/proc/self/mounts").context("read the mount table")?;
    Ok(table.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Mount> {
    let mut words = line.split(' ').skip(1);
    let path = unescape(words.next()?);
    Some(Mount { path: path.into(), kind: words.next()?.to_owned() })
}

/// The table writes blanks and backslashes as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// Whether something is mounted exactly there.
pub(crate) fn is_mounted(path: &Path) -> Result<bool> {
    Ok(all()?.iter().any(|mount| mount.path == path))
}

/// The type of the file system that holds a path.
pub(crate) fn kind_of(path: &Path) -> Result<String> {
    let holders = all()?.into_iter().filter(|mount| path.starts_with(&mount.path));
    let nearest = holders.max_by_key(|mount| mount.path.components().count());
    Ok(nearest.map(|mount| mount.kind).unwrap_or_default())
}

/// Detaches every mount below a folder, newest first. A mount on the folder itself is not ours.
pub(crate) fn detach_below(folder: &Path) -> Result<()> {
    detach(|path| path != folder && path.starts_with(folder))
}

/// Detaches what is mounted exactly there.
pub(crate) fn detach_at(place: &Path) -> Result<()> {
    detach(|path| path == place)
}

fn detach(is_ours: impl Fn(&Path) -> bool) -> Result<()> {
    for mount in all()?.iter().rev().filter(|mount| is_ours(&mount.path)) {
        unmount(&mount.path, UnmountFlags::DETACH)
            .with_context(|| format!("unmount {}", mount.path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_a_line_with_a_blank_in_its_path() {
        let mount = parse("proc /a\\040b proc rw 0 0").expect("a mount");
        assert_eq!((mount.path.to_str(), mount.kind.as_str()), (Some("/a b"), "proc"));
        assert!(parse("short").is_none());
    }
}
