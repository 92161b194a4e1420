//! Where the cluster's parts are: folders, files, addresses, names. A leaf: no IO, no logic, so that
//! every other file agrees with the rest without importing it.

use std::path::PathBuf;

/// Everything that the cluster keeps: etcd, certificates, images, logs. On a real disk, because
/// containers' layers cannot lie on another overlay or in memory.
pub(crate) const STATE: &str = "/var/lib/realm-cluster";
/// Sockets, process ids and mounts that do not outlive a reboot; short, since socket paths end at 108 bytes.
pub(crate) const RUN: &str = "/run/realm-cluster";

/// The node's name and its address in its own network namespace.
pub(crate) const NODE_NAME: &str = "node1";
pub(crate) const NODE_ADDRESS: &str = "10.99.0.2";
/// The host's end of the cable to the node; pods reach servers of the tests here.
pub(crate) const HOST_ADDRESS: &str = "10.99.0.1";
pub(crate) const CABLE_PREFIX_BITS: u8 = 30;
/// The host's network device of that cable.
pub(crate) const HOST_DEVICE: &str = "realm0";
pub(crate) const POD_RANGE: &str = "10.244.0.0/16";
pub(crate) const NODE_POD_RANGE: &str = "10.244.0.0/24";
pub(crate) const SERVICE_RANGE: &str = "10.96.0.0/16";
pub(crate) const API_SERVICE_ADDRESS: &str = "10.96.0.1";
pub(crate) const DNS_ADDRESS: &str = "10.96.0.10";
pub(crate) const API_PORT: u16 = 6443;

/// The cgroup, under the root of each hierarchy, that holds all pods.
pub(crate) const CGROUP: &str = "realm-cluster";

/// A path below the state folder.
pub(crate) fn state(name: &str) -> PathBuf {
    PathBuf::from(STATE).join(name)
}

/// A path below the run folder.
pub(crate) fn run(name: &str) -> PathBuf {
    PathBuf::from(RUN).join(name)
}

/// The administrator's kubeconfig.
pub(crate) fn kubeconfig() -> PathBuf {
    state("admin.conf")
}

/// The file that the node's network namespace is mounted on.
pub(crate) fn network_namespace() -> PathBuf {
    run("netns")
}

/// The file that the node's mount namespace is mounted on.
pub(crate) fn mount_namespace() -> PathBuf {
    run("namespaces/mount")
}

/// The socket that containerd listens on.
pub(crate) fn containerd_socket() -> PathBuf {
    run("containerd.sock")
}

/// A program of the cluster, as a link to the cached file.
pub(crate) fn program(name: &str) -> PathBuf {
    state("bin").join(name)
}
