//! What of the cluster runs, for a person to read. Changes nothing.

use std::{fmt::Write as _, io::Write as _};

use anyhow::{Context as _, Result};

use crate::cluster::{images, kubectl, layout, processes};

const PROGRAMS: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
];

/// Prints programs, nodes, pods and images.
pub(crate) fn print() -> Result<()> {
    let text = describe()?;
    std::io::stdout().write_all(text.as_bytes()).context("print the status")
}

fn describe() -> Result<String> {
    let mut text = String::new();
    let mut any = false;
    for name in PROGRAMS {
        let id = processes::running(name)?;
        any |= id.is_some();
        let state = id.map_or("does not run".to_owned(), |id| format!("runs as process {id}"));
        writeln!(text, "{name:<24} {state}")?;
    }
    if !any {
        text.push_str("the cluster is down; start it with `cargo xtask cluster up`\n");
        return Ok(text);
    }
    writeln!(text, "{:<24} {}", "kubeconfig", layout::kubeconfig().display())?;
    writeln!(text, "{:<24} {}", "logs", layout::state("log").display())?;
    for arguments in [&["get", "nodes"][..], &["get", "pods", "--all-namespaces"]] {
        let table = kubectl::output(arguments).unwrap_or_else(|error| format!("{error:#}"));
        writeln!(text, "{table}")?;
    }
    if let Ok(names) = images::list() {
        writeln!(text, "images: {}", names.join(" "))?;
    }
    Ok(text)
}
