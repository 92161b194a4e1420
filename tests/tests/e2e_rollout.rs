//! Pods are replaced under load and no request is lost, by a restart and by a change of the model.
#![forbid(unsafe_code)]

use anyhow::{Result, ensure};
use realm_crds::condition;
use realm_tests::{
    namespace::Namespace,
    probe::{Load, Outcome, Plan},
    realm::{EXAMPLE, READY_LIMIT, await_ready, chat_url, example, holds, question},
    with_realm,
};
use serde_json::{Value, json};

/// Bounds of the load: it ends by itself long after the test is over.
const CLIENTS: u32 = 2;
const REQUESTS: u32 = 2000;
const SECONDS: u32 = 300;

#[test]
fn no_request_is_lost_while_pods_are_replaced() -> Result<()> {
    with_realm("rollout", |namespace| {
        let mut model = example(namespace.cluster)?;
        model["spec"]["replicas"] = json!(2);
        model["spec"]["engine"] = json!({"parallel": 2, "contextLength": 512});
        namespace.apply(&model)?;
        await_ready(namespace, EXAMPLE)?;
        let url = chat_url(&namespace.service_address(EXAMPLE)?);
        let plan = |stream, body| Plan {
            url: &url,
            body,
            stream,
            clients: CLIENTS,
            requests: REQUESTS,
            seconds: SECONDS,
        };
        let (whole, streamed) = (question(false), question(true));
        let loads = [
            Load::start(namespace, "load-whole", &plan(false, &whole))?,
            Load::start(namespace, "load-stream", &plan(true, &streamed))?,
        ];

        let before = pods(namespace)?;
        namespace.kubectl(&["rollout", "restart", &format!("deployment/{EXAMPLE}")])?;
        await_rollout(namespace)?;
        let restarted = pods(namespace)?;
        ensure!(
            before.iter().all(|pod| !restarted.contains(pod)),
            "the restart kept a pod: {before:?} {restarted:?}"
        );
        loads.iter().try_for_each(|load| load.await_answers(1))?;

        let patch = json!({"spec": {"engine": {"parallel": 3}}}).to_string();
        namespace.kubectl(&["patch", "realmmodel", EXAMPLE, "--type=merge", "--patch", &patch])?;
        await_ready(namespace, EXAMPLE)?;
        await_rollout(namespace)?;
        let changed = pods(namespace)?;
        ensure!(
            restarted.iter().all(|pod| !changed.contains(pod)),
            "the change kept a pod: {restarted:?} {changed:?}"
        );
        loads.iter().try_for_each(|load| load.await_answers(1))?;

        let still = namespace.get("realmmodel", EXAMPLE)?.unwrap_or_default();
        ensure!(holds(&still, condition::AVAILABLE), "no longer Available: {}", still["status"]);
        for load in loads {
            check(&load.stop()?)?;
        }
        Ok(())
    })
}

fn check(outcome: &Outcome) -> Result<()> {
    println!(
        "under load: {} whole answers, {} failed, the longest took {:.0} ms",
        outcome.ok, outcome.failed, outcome.max_ms
    );
    ensure!(outcome.failed == 0 && outcome.ok > 0, "lost requests: {outcome:?}");
    Ok(())
}

/// Waits until the newest template's pods are the only ones, and the old ones are gone, not only ending.
fn await_rollout(namespace: &Namespace<'_>) -> Result<()> {
    let limit = format!("--timeout={}s", READY_LIMIT.as_secs());
    namespace.kubectl(&["rollout", "status", &format!("deployment/{EXAMPLE}"), &limit])?;
    realm_tests::wait::await_condition("the end of replaced pods", READY_LIMIT, || {
        let count = pods(namespace)?.len();
        Ok(realm_tests::wait::Seen::when(count == 2, format!("{count} pods")))
    })
}

/// Identities of the model's pods.
fn pods(namespace: &Namespace<'_>) -> Result<Vec<String>> {
    let deployment = namespace.get("deployment", EXAMPLE)?.unwrap_or_default();
    let labels =
        deployment["spec"]["selector"]["matchLabels"].as_object().cloned().unwrap_or_default();
    ensure!(!labels.is_empty(), "Deployment {EXAMPLE} has no selector: {deployment}");
    let selector: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let pods = namespace.list(&["pods", "--selector", &selector.join(",")])?;
    Ok(pods
        .iter()
        .filter_map(|pod: &Value| pod["metadata"]["uid"].as_str())
        .map(str::to_owned)
        .collect())
}
