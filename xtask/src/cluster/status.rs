//! What of the cluster runs, for a person to read. Changes nothing.

use anyhow::Result;

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
    let mut any = false;
    for name in PROGRAMS {
        let state = match processes::running(name)? {
            Some(id) => format!("runs as process {id}"),
            None => "does not run".to_owned(),
        };
        any |= state.starts_with("runs");
        println!("{name:<24} {state}");
    }
    if !any {
        println!("the cluster is down; start it with `cargo xtask cluster up`");
        return Ok(());
    }
    println!("{:<24} {}", "kubeconfig", layout::kubeconfig().display());
    println!("{:<24} {}", "logs", layout::state("log").display());
    for arguments in [&["get", "nodes"][..], &["get", "pods", "--all-namespaces"]] {
        println!("{}", kubectl::output(arguments).unwrap_or_else(|error| format!("{error:#}")));
    }
    if let Ok(names) = images::list() {
        println!("images: {}", names.join(" "));
    }
    Ok(())
}
