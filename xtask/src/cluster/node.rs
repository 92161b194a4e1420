//! Level 3: containerd, kubelet and kube-proxy, with their configuration files, until the node is Ready.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    cluster::{
        files, kubectl, layout, mounts,
        processes::{self, Program},
    },
    shell::{self, Progress},
};

const START_LIMIT: Duration = Duration::from_mins(3);
/// The image of the container that holds a pod's namespaces.
pub(crate) const PAUSE_IMAGE: &str = "realm.test/pause:1";

/// Starts containerd and waits until it answers.
pub(crate) fn start_containerd(progress: &Progress) -> Result<()> {
    write_network_config()?;
    write_containerd_config()?;
    processes::start(&Program::new(
        "containerd",
        ["--config".into(), layout::state("containerd.toml")],
    ))?;
    shell::await_condition("containerd's readiness", START_LIMIT, || {
        processes::check(&["containerd"])?;
        Ok(shell::succeeds(containerd_client().arg("version")).then_some(()))
    })?;
    progress.say("containerd is ready");
    Ok(())
}

/// Starts the kubelet and the proxy of Services.
pub(crate) fn start_kubelet() -> Result<()> {
    files::write(&layout::state("resolv.conf"), "nameserver 127.0.0.1\n")?;
    files::write_json(&layout::state("kubelet.json"), &kubelet_config())?;
    files::write_json(&layout::state("kube-proxy.json"), &proxy_config())?;
    processes::start(&Program::new(
        "kubelet",
        [
            format!("--config={}", layout::state("kubelet.json").display()),
            format!("--kubeconfig={}", layout::state("kubelet.conf").display()),
            format!("--root-dir={}", layout::state("kubelet").display()),
            format!("--cert-dir={}", layout::state("kubelet/pki").display()),
            format!("--hostname-override={}", layout::NODE_NAME),
            format!("--node-ip={}", layout::NODE_ADDRESS),
        ],
    ))?;
    let config = format!("--config={}", layout::state("kube-proxy.json").display());
    processes::start(&Program::new("kube-proxy", [config]))
}

/// Waits until the node takes pods.
pub(crate) fn await_ready(progress: &Progress) -> Result<()> {
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    shell::await_condition("the node's readiness", START_LIMIT, || {
        processes::check(&["containerd", "kubelet", "kube-proxy"])?;
        let status =
            kubectl::output(&["get", "node", layout::NODE_NAME, "--ignore-not-found", "-o", path])?;
        Ok((status == "True").then_some(()))
    })?;
    progress.say("node is Ready");
    Ok(())
}

/// containerd's client, in the namespace that holds Kubernetes' images and containers.
pub(crate) fn containerd_client() -> Command {
    let mut command = Command::new(layout::program("ctr"));
    command.arg("--address").arg(layout::containerd_socket()).args(["--namespace", "k8s.io"]);
    command
}

/// How containers' files are layered. Inside a container the state itself lies on an overlay, which takes
/// no other: then each container gets a copy.
pub(crate) fn snapshotter() -> Result<&'static str> {
    let on_overlay = mounts::kind_of(Path::new(layout::STATE))? == "overlay";
    Ok(if on_overlay { "native" } else { "overlayfs" })
}

/// A bridge with addresses from the node's range; hostPort works too.
fn write_network_config() -> Result<()> {
    fs::create_dir_all(layout::state("cni")).context("create the folder of network plugins")?;
    let bridge = json!({
        "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": layout::NODE_POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": layout::state("cni-addresses"),
        },
    });
    let ports = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    let list = json!({"cniVersion": "1.0.0", "name": "realm", "plugins": [bridge, ports]});
    files::write_json(&layout::state("cni/10-realm.conflist"), &list)
}

/// Differs from the default in: own folders, no registry (a pull fails at once instead of after a long
/// DNS time-out), no lowering of OOM scores below what this process may (containers lack the right).
fn write_containerd_config() -> Result<()> {
    let registries = layout::state("registries/_default");
    fs::create_dir_all(&registries).context("create the folder of registries")?;
    files::write(&registries.join("hosts.toml"), "server = \"http://127.0.0.1:1\"\n")?;
    let runc = shell::find_program("runc").context("runc is not installed")?;
    let text = format!(
        r#"version = 3
root = "{state}/containerd"
state = "{run}/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.nri.v1.nri",
  "io.containerd.internal.v1.tracing",
]
[grpc]
address = "{socket}"
[plugins.'io.containerd.cri.v1.images']
snapshotter = "{snapshotter}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = "{state}/registries"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
disable_apparmor = true
netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{state}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{runc}"
Root = "{run}/runc"
SystemdCgroup = false
"#,
        state = layout::STATE,
        run = layout::RUN,
        socket = layout::containerd_socket().display(),
        runc = runc.display(),
        snapshotter = snapshotter()?,
    );
    files::write(&layout::state("containerd.toml"), &text)
}

/// Never evicts for a disk that others fill; keeps images, since none can be pulled again.
fn kubelet_config() -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "failSwapOn": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", layout::CGROUP),
        "enforceNodeAllocatable": ["pods"],
        "containerRuntimeEndpoint": format!("unix://{}", layout::containerd_socket().display()),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": layout::state("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": layout::state("pki/kubelet-server.crt"),
        "tlsPrivateKeyFile": layout::state("pki/kubelet-server.key"),
        "clusterDNS": [layout::DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": layout::state("resolv.conf"),
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        // Changed Secrets and ConfigMaps reach pods at their next sync; tests do not wait a minute for it.
        "syncFrequency": "2s",
        "podLogsDir": layout::state("pod-logs"),
        "volumePluginDir": layout::state("volume-plugins"),
    })
}

/// Leaves the host's connection-tracking limits alone.
fn proxy_config() -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": layout::POD_RANGE,
        "hostnameOverride": layout::NODE_NAME,
        "clientConnection": {"kubeconfig": layout::state("proxy.conf")},
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    })
}
