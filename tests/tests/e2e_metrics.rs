//! The ServiceMonitor that the operator makes brings the engine's counters into Prometheus.
#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::{Result, ensure};
use realm_tests::{
    monitoring,
    probe::Probe,
    realm::{EXAMPLE, await_ready, chat_url, example, question},
    wait::{Seen, await_condition},
    with_realm,
};
use serde_json::json;

/// Prometheus finds a new target and scrapes it within this time.
const SCRAPE_LIMIT: Duration = Duration::from_mins(1);

#[test]
fn requests_are_counted_in_prometheus_by_the_service_monitor() -> Result<()> {
    with_realm("metrics", |namespace| {
        let mut model = example(namespace.cluster)?;
        model["spec"]["observability"]["interval"] = json!("1s");
        namespace.apply(&model)?;
        let probe = Probe::start(namespace)?;
        await_ready(namespace, EXAMPLE)?;
        let address = namespace.service_address(EXAMPLE)?;
        await_condition("the Service", SCRAPE_LIMIT, || {
            let answer = probe.get(&format!("http://{address}/v1/models"))?;
            Ok(Seen::when(answer.status == 200, answer.error))
        })?;
        for _ in 0..3 {
            probe.post(&chat_url(&address), &question(false), &[])?.expect_status(200)?;
        }
        let mut unknown = question(false);
        unknown["model"] = json!("nobody");
        probe.post(&chat_url(&address), &unknown, &[])?.expect_status(404)?;

        let count = |status: &str| {
            let labels = format!(
                "namespace=\"{}\",route=\"chat_completions\",status=\"{status}\"",
                namespace.name
            );
            monitoring::query(namespace.cluster, &format!("sum(realm_requests_total{{{labels}}})"))
        };
        await_condition("realm_requests_total in Prometheus", SCRAPE_LIMIT, || {
            let (good, bad) = (count("200")?, count("404")?);
            Ok(Seen::when(
                good == Some(3.0) && bad == Some(1.0),
                format!("200: {good:?}, 404: {bad:?}"),
            ))
        })?;
        let targets = format!("sum(up{{namespace=\"{}\"}})", namespace.name);
        let up = monitoring::query(namespace.cluster, &targets)?;
        ensure!(up == Some(1.0), "one pod is one target that is up, Prometheus says {up:?}");
        Ok(())
    })
}
