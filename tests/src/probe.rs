//! Clients that run as pods: single requests, and a load that goes on while something else happens.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::Answer,
    namespace::Namespace,
    wait::{Seen, await_condition},
};

const IMAGE: &str = "--image=realm.test/probe:1";
const POD_LIMIT: Duration = Duration::from_mins(1);
/// Port on which a load tells how far it is and takes the order to stop.
const CONTROL_PORT: u16 = 8090;

/// A pod that sends requests on demand.
#[derive(Debug)]
pub struct Probe<'a> {
    namespace: &'a Namespace<'a>,
}

impl<'a> Probe<'a> {
    /// Starts the pod and waits until it runs.
    pub fn start(namespace: &'a Namespace<'a>) -> Result<Self> {
        namespace.kubectl(&["run", "probe", IMAGE, "--restart=Never", "--", "wait"])?;
        await_phase(namespace, "probe", "Running", POD_LIMIT)?;
        Ok(Self { namespace })
    }

    /// A GET.
    pub fn get(&self, url: &str) -> Result<Answer> {
        self.send(&["-url", url])
    }

    /// A POST of JSON with header lines.
    pub fn post(&self, url: &str, body: &Value, headers: &[&str]) -> Result<Answer> {
        let body = body.to_string();
        let mut arguments = vec!["-url", url, "-body", &body];
        arguments.extend(headers.iter().flat_map(|line| ["-header", line]));
        self.send(&arguments)
    }

    fn send(&self, arguments: &[&str]) -> Result<Answer> {
        let command = [&["exec", "probe", "--", "/bin/probe", "get"], arguments].concat();
        let line = self.namespace.kubectl(&command)?;
        serde_json::from_str(&line).with_context(|| format!("read the probe's report {line}"))
    }
}

/// What a load shall do; every number is a bound.
#[derive(Debug)]
pub struct Plan<'a> {
    pub url: &'a str,
    pub body: &'a Value,
    /// Whether each answer must be a whole stream.
    pub stream: bool,
    pub clients: u32,
    pub requests: u32,
    pub seconds: u32,
}

/// A pod that sends requests all the time.
#[derive(Debug)]
pub struct Load<'a> {
    namespace: &'a Namespace<'a>,
    name: &'static str,
}

/// How a load went.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub ok: u64,
    pub failed: u64,
    /// The first failures, with their times.
    #[serde(default)]
    pub failures: Vec<String>,
    /// The longest exchange.
    #[serde(default)]
    pub max_ms: f64,
}

impl<'a> Load<'a> {
    /// Starts the pod and waits for its first whole answers.
    pub fn start(
        namespace: &'a Namespace<'a>,
        name: &'static str,
        plan: &Plan<'_>,
    ) -> Result<Self> {
        let body = plan.body.to_string();
        let (clients, requests) = (plan.clients.to_string(), plan.requests.to_string());
        let duration = format!("{}s", plan.seconds);
        let mut arguments = vec!["run", name, IMAGE, "--restart=Never", "--", "load"];
        arguments.extend(["-url", plan.url, "-body", &body, "-clients", &clients]);
        arguments.extend(["-requests", &requests, "-duration", &duration]);
        if plan.stream {
            arguments.push("-stream");
        }
        namespace.kubectl(&arguments)?;
        await_phase(namespace, name, "Running", POD_LIMIT)?;
        let load = Self { namespace, name };
        load.await_answers(u64::from(plan.clients))?;
        Ok(load)
    }

    /// How far it is.
    pub fn progress(&self) -> Result<Outcome> {
        let text = self.control("")?;
        serde_json::from_str(&text).with_context(|| format!("read the load's progress {text}"))
    }

    /// Waits until it has had so many more whole answers.
    pub fn await_answers(&self, more: u64) -> Result<()> {
        let mut wanted = None;
        await_condition("answers under load", POD_LIMIT, || {
            // The control port opens a moment after the pod runs.
            let Ok(now) = self.progress() else { return Ok(Seen::NotYet("no report".to_owned())) };
            let goal = *wanted.get_or_insert(now.ok + more);
            Ok(Seen::when(now.ok >= goal, format!("{now:?}, waiting for {goal}")))
        })
    }

    /// Ends it after the open exchanges, and gives the outcome.
    pub fn stop(self) -> Result<Outcome> {
        // A load that has reached one of its bounds has ended by itself.
        drop(self.control("stop"));
        await_phase(self.namespace, self.name, "Succeeded", POD_LIMIT)?;
        let log = self.namespace.kubectl(&["logs", self.name])?;
        let line = log.lines().last().context("the load printed nothing")?;
        serde_json::from_str(line).with_context(|| format!("read the load's report {line}"))
    }

    fn control(&self, verb: &str) -> Result<String> {
        let namespace = &self.namespace.name;
        let pod = format!("{}:{CONTROL_PORT}", self.name);
        self.namespace
            .cluster
            .raw(&format!("/api/v1/namespaces/{namespace}/pods/{pod}/proxy/{verb}"))
    }
}

fn await_phase(namespace: &Namespace<'_>, name: &str, phase: &str, limit: Duration) -> Result<()> {
    let is_there = |pod: &Value| pod["status"]["phase"] == phase;
    namespace.await_object("pod", name, phase, limit, is_there).map(drop)
}
