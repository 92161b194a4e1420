//! What the cluster's Prometheus and its kubelet know.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{cluster::Cluster, namespace::Namespace};

/// The value of a query that gives one number; nothing when no series matches.
pub fn query(cluster: &Cluster, promql: &str) -> Result<Option<f64>> {
    let path = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query?query=";
    let text = cluster.raw(&format!("{path}{}", percent_encode(promql)))?;
    let answer: Value = serde_json::from_str(&text).context("read Prometheus' answer")?;
    ensure!(answer["status"] == "success", "Prometheus refused {promql}: {answer}");
    match &answer["data"]["result"][0]["value"][1] {
        Value::String(number) => Ok(Some(number.parse().context("read a sample")?)),
        _ => Ok(None),
    }
}

/// Resident memory of a pod's containers, from the kubelet; nothing before its first measurement.
pub fn resident_bytes(namespace: &Namespace<'_>, pod_prefix: &str) -> Result<Option<u64>> {
    let text = namespace.cluster.raw("/api/v1/nodes/node1/proxy/stats/summary")?;
    let summary: Value = serde_json::from_str(&text).context("read the kubelet's summary")?;
    let pods = summary["pods"].as_array().context("the summary has no pods")?;
    let is_wanted = |pod: &&Value| {
        let reference = &pod["podRef"];
        reference["namespace"] == namespace.name.as_str()
            && reference["name"].as_str().is_some_and(|name| name.starts_with(pod_prefix))
    };
    let Some(pod) = pods.iter().find(is_wanted) else { return Ok(None) };
    let containers = pod["containers"].as_array().context("the pod has no containers")?;
    let measured: Option<Vec<u64>> =
        containers.iter().map(|container| container["memory"]["rssBytes"].as_u64()).collect();
    Ok(measured.map(|bytes| bytes.iter().sum()))
}

fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
