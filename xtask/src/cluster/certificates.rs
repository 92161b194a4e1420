//! The cluster's own certificate authorities, certificates and kubeconfigs, made once per state folder
//! with the openssl program. Elliptic-curve keys: made in milliseconds.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::{
    cluster::{files, layout},
    shell,
};

/// Days that a certificate holds; a test cluster never lives that long.
const DAYS: &str = "3650";

/// One certificate: file name, subject, authority, other names that it answers to.
struct Leaf {
    name: &'static str,
    subject: String,
    authority: &'static str,
    alternatives: String,
}

/// Users with a kubeconfig: file name and the certificate's subject.
const USERS: &[(&str, &str)] = &[
    ("admin", "/O=system:masters/CN=admin"),
    ("controller-manager", "/CN=system:kube-controller-manager"),
    ("scheduler", "/CN=system:kube-scheduler"),
    ("proxy", "/CN=system:kube-proxy"),
];

/// Makes what is missing. The folder gets its name only when it is whole.
pub(crate) fn ensure() -> Result<()> {
    let folder = layout::state("pki");
    if !folder.is_dir() {
        let scratch = layout::state("pki.part");
        if scratch.exists() {
            fs::remove_dir_all(&scratch).context("remove half-made certificates")?;
        }
        fs::create_dir_all(&scratch).context("create the certificates' folder")?;
        make_all(&scratch)?;
        fs::rename(&scratch, &folder).context("name the certificates' folder")?;
    }
    for (name, _) in USERS {
        write_kubeconfig(name)?;
    }
    write_kubeconfig("kubelet")
}

fn make_all(folder: &Path) -> Result<()> {
    authority(folder, "ca", "/CN=realm-test")?;
    authority(folder, "front-proxy-ca", "/CN=realm-test-front-proxy")?;
    for leaf in leaves() {
        certificate(folder, &leaf)?;
    }
    key(folder, "service-accounts")?;
    let arguments =
        ["ec", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub"];
    openssl(folder, &arguments)
}

fn leaves() -> Vec<Leaf> {
    let api = format!(
        "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
         DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:{},IP:{}",
        layout::API_SERVICE_ADDRESS,
        layout::NODE_ADDRESS
    );
    let node = layout::NODE_NAME;
    let kubelet = format!("DNS:{node},IP:{},IP:127.0.0.1", layout::NODE_ADDRESS);
    let leaf = |name, subject: &str, authority, alternatives: &str| Leaf {
        name,
        subject: subject.to_owned(),
        authority,
        alternatives: alternatives.to_owned(),
    };
    let mut all = vec![
        leaf("apiserver", "/CN=kube-apiserver", "ca", &api),
        leaf("kubelet-server", &format!("/CN={node}"), "ca", &kubelet),
        leaf("kubelet", &format!("/O=system:nodes/CN=system:node:{node}"), "ca", ""),
        leaf("apiserver-kubelet-client", "/O=system:masters/CN=apiserver-kubelet", "ca", ""),
        leaf("front-proxy-client", "/CN=front-proxy-client", "front-proxy-ca", ""),
    ];
    all.extend(USERS.iter().map(|(name, subject)| leaf(name, subject, "ca", "")));
    all
}

fn key(folder: &Path, name: &str) -> Result<()> {
    let file = format!("{name}.key");
    openssl(folder, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &file])
}

fn authority(folder: &Path, name: &str, subject: &str) -> Result<()> {
    key(folder, name)?;
    let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
    let usage = "keyUsage=critical,keyCertSign,digitalSignature";
    openssl(
        folder,
        &[
            "req",
            "-x509",
            "-new",
            "-key",
            &key,
            "-subj",
            subject,
            "-days",
            DAYS,
            "-addext",
            usage,
            "-out",
            &certificate,
        ],
    )
}

fn certificate(folder: &Path, leaf: &Leaf) -> Result<()> {
    key(folder, leaf.name)?;
    let file = |end: &str| format!("{}.{end}", leaf.name);
    let names = match leaf.alternatives.as_str() {
        "" => String::new(),
        names => format!("subjectAltName={names}\n"),
    };
    let extensions = format!(
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\n{names}"
    );
    fs::write(folder.join(file("ext")), extensions).context("write certificate extensions")?;
    let request =
        ["req", "-new", "-key", &file("key"), "-subj", &leaf.subject, "-out", &file("csr")];
    openssl(folder, &request)?;
    let (ca, ca_key) = (format!("{}.crt", leaf.authority), format!("{}.key", leaf.authority));
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-in",
            &file("csr"),
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-days",
            DAYS,
            "-extfile",
            &file("ext"),
            "-out",
            &file("crt"),
        ],
    )
}

fn openssl(folder: &Path, arguments: &[&str]) -> Result<()> {
    shell::quiet(Command::new("openssl").current_dir(folder).args(arguments))
}

/// JSON is YAML; the programs read either.
fn write_kubeconfig(user: &str) -> Result<()> {
    let pki = layout::state("pki");
    let server = format!("https://{}:{}", layout::NODE_ADDRESS, layout::API_PORT);
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "realm-test", "cluster": {
            "server": server,
            "certificate-authority": pki.join("ca.crt"),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate": pki.join(format!("{user}.crt")),
            "client-key": pki.join(format!("{user}.key")),
        }}],
        "contexts": [{"name": "realm-test", "context": {"cluster": "realm-test", "user": user}}],
        "current-context": "realm-test",
    });
    let file = layout::state(&format!("{user}.conf"));
    files::write_json(&file, &config)
}
