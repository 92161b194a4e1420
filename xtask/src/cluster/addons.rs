//! Level 4: DNS, the Prometheus operator and one Prometheus, until all answer.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cluster::{binaries::Binaries, kubectl},
    shell::{self, Progress},
};

const ROLLOUT_LIMIT: &str = "--timeout=180s";
const START_LIMIT: Duration = Duration::from_mins(1);
const MANIFESTS: &str = "tests/cluster/manifests";

/// What the bundle of the Prometheus operator says, and what it shall say here.
const BUNDLE_CHANGES: &[(&str, &str)] = &[
    ("namespace: default", "namespace: monitoring"),
    ("quay.io/prometheus-operator/prometheus-operator:v0.85.0", "realm.test/prometheus-operator:1"),
    (
        "quay.io/prometheus-operator/prometheus-config-reloader:v0.85.0",
        "realm.test/prometheus-config-reloader:1",
    ),
];

/// Applies the add-ons and waits for them.
pub(crate) fn start(root: &Path, binaries: &Binaries, progress: &Progress) -> Result<()> {
    let manifest = |name: &str| root.join(MANIFESTS).join(name);
    kubectl::apply_file(&manifest("coredns.yaml"))?;
    kubectl::apply_text("{apiVersion: v1, kind: Namespace, metadata: {name: monitoring}}")?;
    kubectl::apply_text(&bundle(binaries)?)?;
    let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
    kubectl::output(&established)?;
    kubectl::apply_file(&manifest("prometheus.yaml"))?;
    progress.say("add-ons applied");
    rollout("kube-system", "deployment/coredns")?;
    rollout("monitoring", "deployment/prometheus-operator")?;
    let set = ["-n", "monitoring", "get", "statefulset", "prometheus-realm-test"];
    shell::await_condition("the StatefulSet of Prometheus", START_LIMIT, || {
        Ok(kubectl::succeeds(&set).then_some(()))
    })?;
    rollout("monitoring", "statefulset/prometheus-realm-test")?;
    progress.say("add-ons are ready");
    Ok(())
}

fn rollout(namespace: &str, object: &str) -> Result<()> {
    let arguments = ["-n", namespace, "rollout", "status", object, ROLLOUT_LIMIT];
    kubectl::output(&arguments).map(drop)
}

/// The operator's own bundle with our namespace and images.
fn bundle(binaries: &Binaries) -> Result<String> {
    let file = binaries.file("prometheus-operator", "bundle.yaml")?;
    let mut text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    for (from, to) in BUNDLE_CHANGES {
        ensure!(text.contains(from), "{} no longer holds `{from}`", file.display());
        text = text.replace(from, to);
    }
    Ok(text)
}
