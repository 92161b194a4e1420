//! Levels 1 and 2: etcd and kube-apiserver; then kube-controller-manager and kube-scheduler.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;

use crate::{
    cluster::{
        kubectl, layout,
        processes::{self, Program},
    },
    shell::{self, Progress},
};

/// From the start of a program until it answers, on a machine that is busy with other things.
const START_LIMIT: Duration = Duration::from_mins(3);

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// Starts etcd and the API server and waits until it is ready.
pub(crate) fn start_api(progress: &Progress) -> Result<()> {
    processes::start(&etcd())?;
    processes::start(&api_server())?;
    shell::await_condition("the API server's readiness", START_LIMIT, || {
        processes::check(&["etcd", "kube-apiserver"])?;
        Ok(kubectl::succeeds(&["get", "--raw=/readyz"]).then_some(()))
    })?;
    progress.say("API server is ready");
    Ok(())
}

/// Starts the controllers and the scheduler.
pub(crate) fn start_controllers() -> Result<()> {
    processes::start(&controller_manager())?;
    processes::start(&scheduler())
}

/// Waits for the first thing that controllers make and every pod needs.
pub(crate) fn await_controllers(progress: &Progress) -> Result<()> {
    shell::await_condition("the default ServiceAccount", START_LIMIT, || {
        processes::check(&["kube-controller-manager", "kube-scheduler"])?;
        Ok(kubectl::succeeds(&["get", "serviceaccount", "default"]).then_some(()))
    })?;
    progress.say("controllers work");
    Ok(())
}

/// `--name=path below the state folder`.
fn file(option: &str, name: &str) -> String {
    format!("--{option}={}", layout::state(name).display())
}

fn pki(option: &str, name: &str) -> String {
    file(option, &PathBuf::from("pki").join(name).to_string_lossy())
}

/// A test cluster's data may die with the machine: no waiting for the disk.
fn etcd() -> Program {
    Program::new(
        "etcd",
        [
            file("data-dir", "etcd"),
            "--name=realm-test".to_owned(),
            format!("--listen-client-urls={ETCD}"),
            format!("--advertise-client-urls={ETCD}"),
            format!("--listen-peer-urls={ETCD_PEER}"),
            format!("--initial-advertise-peer-urls={ETCD_PEER}"),
            format!("--initial-cluster=realm-test={ETCD_PEER}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ],
    )
}

fn api_server() -> Program {
    let mut arguments = vec![
        format!("--etcd-servers={ETCD}"),
        format!("--service-cluster-ip-range={}", layout::SERVICE_RANGE),
        format!("--secure-port={}", layout::API_PORT),
        format!("--advertise-address={}", layout::NODE_ADDRESS),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        "--enable-aggregator-routing".to_owned(),
    ];
    arguments.extend(
        [
            ("tls-cert-file", "apiserver.crt"),
            ("tls-private-key-file", "apiserver.key"),
            ("client-ca-file", "ca.crt"),
            ("service-account-key-file", "service-accounts.pub"),
            ("service-account-signing-key-file", "service-accounts.key"),
            ("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
            ("kubelet-client-key", "apiserver-kubelet-client.key"),
            ("kubelet-certificate-authority", "ca.crt"),
            ("requestheader-client-ca-file", "front-proxy-ca.crt"),
            ("proxy-client-cert-file", "front-proxy-client.crt"),
            ("proxy-client-key-file", "front-proxy-client.key"),
        ]
        .map(|(option, name)| pki(option, name)),
    );
    Program::new("kube-apiserver", arguments)
}

/// How a control-plane program reaches the API server, and keeps to itself: one copy, local port.
fn client(user: &str) -> Vec<String> {
    let config = format!("{user}.conf");
    vec![
        file("kubeconfig", &config),
        file("authentication-kubeconfig", &config),
        file("authorization-kubeconfig", &config),
        "--leader-elect=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
    ]
}

fn controller_manager() -> Program {
    let mut arguments = client("controller-manager");
    arguments.extend([
        "--use-service-account-credentials".to_owned(),
        pki("service-account-private-key-file", "service-accounts.key"),
        pki("root-ca-file", "ca.crt"),
        pki("cluster-signing-cert-file", "ca.crt"),
        pki("cluster-signing-key-file", "ca.key"),
        "--allocate-node-cidrs".to_owned(),
        format!("--cluster-cidr={}", layout::POD_RANGE),
        format!("--service-cluster-ip-range={}", layout::SERVICE_RANGE),
    ]);
    Program::new("kube-controller-manager", arguments)
}

fn scheduler() -> Program {
    Program::new("kube-scheduler", client("scheduler"))
}
