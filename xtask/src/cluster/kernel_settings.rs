//! Settings of the host's kernel that a kubelet changes: kept before the first start, put back at the end.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::cluster::layout;

/// Below `/proc/sys`: what the kubelet insists on.
const CHANGED_BY_KUBELET: &[&str] = &[
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

const FILE: &str = "kernel-settings.json";

/// Writes the present values down, unless an earlier start has done so.
pub(crate) fn save() -> Result<()> {
    let file = layout::state(FILE);
    if file.exists() {
        return Ok(());
    }
    let mut values = BTreeMap::new();
    for name in CHANGED_BY_KUBELET {
        if let Ok(value) = fs::read_to_string(Path::new("/proc/sys").join(name)) {
            values.insert(*name, value.trim().to_owned());
        }
    }
    let scratch = file.with_extension("part");
    fs::write(&scratch, serde_json::to_vec(&values)?)
        .context("write the kernel's settings down")?;
    fs::rename(&scratch, &file).context("name the file of kernel settings")
}

/// Puts back what `save` wrote down.
pub(crate) fn restore() -> Result<()> {
    let file = layout::state(FILE);
    let Ok(bytes) = fs::read(&file) else { return Ok(()) };
    let values: BTreeMap<String, String> =
        serde_json::from_slice(&bytes).with_context(|| format!("read {}", file.display()))?;
    for (name, value) in values {
        let path = Path::new("/proc/sys").join(&name);
        let now = fs::read_to_string(&path).unwrap_or_default();
        if now.trim() != value {
            fs::write(&path, &value).with_context(|| format!("set {name} back to {value}"))?;
        }
    }
    fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))
}
