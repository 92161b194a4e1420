//! What the cluster is made of: one Go module under `tests/cluster` per component, how it is built,
//! which programs come out. Data only; `binaries.rs` builds them.

/// The version that Kubernetes' programs report; the module's own `go.mod` pins the code.
const KUBERNETES: &str = concat!(
    "-s -w",
    " -X k8s.io/component-base/version.gitVersion=v1.37.2",
    " -X k8s.io/component-base/version.gitMajor=1",
    " -X k8s.io/component-base/version.gitMinor=37",
    " -X k8s.io/component-base/version.gitTreeState=clean",
    " -X k8s.io/component-base/version.gitCommit=0000000000000000000000000000000000000000",
    " -X k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z",
);

/// One Go module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Component {
    /// Folder under `tests/cluster`, and folder in the cache.
    pub(crate) name: &'static str,
    /// `.` for a program of our own, `tool` for the programs that `go.mod` names.
    pub(crate) package: &'static str,
    pub(crate) tags: &'static str,
    pub(crate) linker: &'static str,
    /// Programs that the build leaves behind.
    pub(crate) programs: &'static [&'static str],
    /// Other names by which the first program is called.
    pub(crate) links: &'static [&'static str],
    /// Files of a module that the cluster needs beside the programs: module path, file.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// The first level (see `Level`) that needs it.
    pub(crate) level: u8,
}

const STRIPPED: &str = "-s -w";

/// All components, in the order in which they are built.
pub(crate) const COMPONENTS: &[Component] = &[
    Component {
        name: "node",
        package: ".",
        tags: "",
        linker: KUBERNETES,
        programs: &["node"],
        links: &[
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        ],
        files: &[],
        level: 1,
    },
    Component {
        name: "containerd",
        package: "tool",
        tags: "no_btrfs no_devmapper no_zfs no_aufs no_blockfile no_tracing netgo osusergo static_build",
        linker: "-s -w -X github.com/containerd/containerd/v2/version.Version=v2.4.2",
        programs: &["containerd", "containerd-shim-runc-v2", "ctr"],
        links: &[],
        files: &[],
        level: 3,
    },
    Component {
        name: "pause",
        package: ".",
        tags: "",
        linker: STRIPPED,
        programs: &["pause"],
        links: &[],
        files: &[],
        level: 3,
    },
    Component {
        name: "probe",
        package: ".",
        tags: "",
        linker: STRIPPED,
        programs: &["probe"],
        links: &[],
        files: &[],
        level: 3,
    },
    Component {
        name: "coredns",
        package: ".",
        tags: "",
        linker: STRIPPED,
        programs: &["coredns"],
        links: &[],
        files: &[],
        level: 4,
    },
    Component {
        name: "prometheus-operator",
        package: "tool",
        tags: "",
        linker: STRIPPED,
        programs: &["operator", "prometheus-config-reloader"],
        links: &[],
        files: &[("github.com/prometheus-operator/prometheus-operator", "bundle.yaml")],
        level: 4,
    },
    Component {
        name: "prometheus",
        package: "tool",
        tags: "netgo,remove_all_sd,enable_kubernetes_sd",
        linker: "-s -w -X github.com/prometheus/common/version.Version=3.16.0",
        programs: &["prometheus", "promtool"],
        links: &[],
        files: &[],
        level: 4,
    },
];
