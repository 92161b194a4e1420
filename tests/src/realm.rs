//! Realm in the cluster: installed with the shipped manifests, and its objects as a user sees them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use realm_crds::{
    condition,
    names::{LABEL_MODEL, MANAGED_BY},
};
use serde_json::{Value, json};

use crate::{cluster::Cluster, namespace::Namespace};

/// The operator's namespace and Deployment in `manifests/base`.
pub const OPERATOR_NAMESPACE: &str = "realm-system";
pub const OPERATOR: &str = MANAGED_BY;
const OPERATOR_PORT: u16 = 8080;
/// The name in the example manifest.
pub const EXAMPLE: &str = "smollm2";
/// From apply to Ready: a download inside this machine, a digest, the loading of a small model.
pub const READY_LIMIT: Duration = Duration::from_mins(2);
/// An operator reacts to a change within this time.
pub const REACTION_LIMIT: Duration = Duration::from_secs(30);

const ROLLOUT_LIMIT: &str = "--timeout=120s";

/// Installs the CRDs by plain client-side apply and the operator as shipped, with the hub's mirror as its only own
/// setting. Safe to run again.
///
/// # Errors
/// A manifest is refused, the operator does not come up, or it was told another mirror than the one that runs.
pub fn install(cluster: &Cluster, hub: &str) -> Result<()> {
    let crds = repository().join("crds");
    for name in ["realmmodels.yaml", "realmtenants.yaml"] {
        cluster.kubectl(&["apply", "--filename", &text(&crds.join(name))])?;
    }
    let wait = ["wait", "--for=condition=Established", "--timeout=30s"];
    let kinds = ["crd/realmmodels.realm.querent.io", "crd/realmtenants.realm.querent.io"];
    cluster.kubectl(&[&wait[..], &kinds].concat())?;
    let overlay = text(&repository().join("tests/cluster/operator"));
    cluster.kubectl(&["apply", "--kustomize", &overlay])?;
    let deployment = cluster.get(OPERATOR_NAMESPACE, "deployment", OPERATOR)?.unwrap_or_default();
    let told = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let is_told = told.as_array().is_some_and(|env| env.iter().any(|one| one["value"] == hub));
    ensure!(is_told, "the mirror is at {hub}, but {overlay} tells the operator {told}");
    let rollout = ["rollout", "status", "deployment", OPERATOR, ROLLOUT_LIMIT];
    cluster.kubectl(&[&["--namespace", OPERATOR_NAMESPACE], &rollout[..]].concat()).map(drop)
}

/// The example that users apply.
pub fn example_file() -> String {
    text(&repository().join("manifests/examples/realmmodel.yaml"))
}

/// The example as an object, for tests that change it.
pub fn example(cluster: &Cluster) -> Result<Value> {
    let create = ["create", "--dry-run=client", "--output", "json", "--filename", &example_file()];
    let mut model: Value =
        serde_json::from_str(&cluster.kubectl(&create)?).context("read the example")?;
    if let Some(metadata) = model["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    Ok(model)
}

/// Waits until a model is Ready for its newest generation, and gives it.
pub fn await_ready(namespace: &Namespace<'_>, name: &str) -> Result<Value> {
    namespace.await_object("realmmodel", name, "Ready for its generation", READY_LIMIT, |model| {
        holds(model, condition::READY) && is_observed(model)
    })
}

/// Whether a condition of an object is True.
pub fn holds(object: &Value, kind: &str) -> bool {
    status_of(object, kind) == Some("True")
}

/// The status of a condition.
pub fn status_of<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    condition_of(object, kind)?["status"].as_str()
}

/// A condition of an object.
pub fn condition_of<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == kind)
}

/// Whether the status speaks of the newest spec.
pub fn is_observed(object: &Value) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

/// The sum of one of the operator's counters over the series whose labels are of interest.
pub fn operator_count(
    cluster: &Cluster,
    metric: &str,
    is_counted: impl Fn(&str) -> bool,
) -> Result<f64> {
    let service = format!("{OPERATOR}:{OPERATOR_PORT}");
    let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/services/{service}/proxy/metrics");
    let page = cluster.raw(&path)?;
    let series = page.lines().filter_map(|line| line.strip_prefix(metric)?.rsplit_once(' '));
    let counted = series.filter(|(labels, _)| is_counted(labels));
    let values: Result<Vec<f64>, _> = counted.map(|(_, value)| value.parse::<f64>()).collect();
    Ok(values.with_context(|| format!("read {metric}"))?.iter().sum())
}

/// The selector of everything that belongs to a model.
pub fn children_selector(model: &str) -> String {
    format!("{LABEL_MODEL}={model}")
}

/// The question of all tests: greedy, so that the answer is always the same.
pub fn question(stream: bool) -> Value {
    json!({
        "model": EXAMPLE,
        "messages": [{"role": "user", "content": "Name the capital of France."}],
        "temperature": 0,
        "max_tokens": 24,
        "stream": stream,
    })
}

/// Where chat completions of a Service are.
pub fn chat_url(address: &str) -> String {
    format!("http://{address}/v1/chat/completions")
}

fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
