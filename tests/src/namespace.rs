//! A namespace for one test, taken away at its end; on failure the state of everything in it is printed first.

use std::{
    process,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    cluster::Cluster,
    wait::{Seen, await_condition},
};

/// Log lines of each container that a failure prints.
const LOG_LINES: &str = "--tail=30";
/// A model that answers nobody ends within this time.
const REMOVE_LIMIT: Duration = Duration::from_secs(90);

/// A test's own namespace.
#[derive(Debug)]
pub struct Namespace<'cluster> {
    /// The cluster that it is in.
    pub cluster: &'cluster Cluster,
    /// Its name.
    pub name: String,
}

impl<'cluster> Namespace<'cluster> {
    /// Runs a test in a fresh namespace.
    ///
    /// # Errors
    /// The test's own error; or the namespace cannot be made or removed.
    pub fn with(
        cluster: &'cluster Cluster,
        name: &str,
        test: impl FnOnce(&Namespace<'_>) -> Result<()>,
    ) -> Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis());
        let name = format!("{name}-{}-{}", process::id(), since % 1_000_000);
        cluster.kubectl(&["create", "namespace", &name])?;
        let namespace = Namespace { cluster, name };
        let outcome = test(&namespace);
        if let Err(error) = &outcome {
            eprintln!("the test failed: {error:#}");
            namespace.print_state();
        }
        outcome.and(namespace.remove())
    }

    /// Ends what runs, then the namespace. Not in one step: the namespace controller looks again only after half of
    /// the longest grace period of its pods, which is minutes for a model.
    fn remove(&self) -> Result<()> {
        self.kubectl(&["delete", "realmmodels,realmtenants", "--all"])?;
        self.kubectl(&["delete", "pods", "--all", "--wait=false"])?;
        await_condition("the end of the test's pods", REMOVE_LIMIT, || {
            let left = self.list(&["pods"])?.len();
            Ok(Seen::when(left == 0, format!("{left} pods")))
        })?;
        self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false"]).map(drop)
    }

    /// Runs kubectl in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["--namespace", &self.name], arguments].concat())
    }

    /// Applies a manifest here.
    pub fn apply(&self, manifest: &Value) -> Result<()> {
        self.cluster.apply(&self.name, manifest)
    }

    /// An object of this namespace, if it is there.
    pub fn get(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        self.cluster.get(&self.name, kind, name)
    }

    /// Objects of this namespace: kinds and selectors as for `kubectl get`.
    pub fn list(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        self.cluster.list(&[&["--namespace", &self.name], arguments].concat())
    }

    /// The address by which pods reach a Service.
    pub fn service_address(&self, name: &str) -> Result<String> {
        let service = self.get("service", name)?.unwrap_or_default();
        let address = service["spec"]["clusterIP"].as_str().unwrap_or_default();
        ensure!(
            !address.is_empty() && address != "None",
            "Service {name} has no ClusterIP: {service}"
        );
        Ok(address.to_owned())
    }

    /// Waits for a condition of an object and gives the object.
    pub fn await_object(
        &self,
        kind: &str,
        name: &str,
        what: &str,
        limit: Duration,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        await_condition(&format!("{kind} {name}: {what}"), limit, || {
            Ok(match self.get(kind, name)? {
                Some(object) if holds(&object) => Seen::Yes(object),
                Some(object) => Seen::NotYet(object["status"].to_string()),
                None => Seen::NotYet("no such object".to_owned()),
            })
        })
    }

    /// What a person would look at first.
    fn print_state(&self) {
        let looks: [&[&str]; 3] = [
            &["get", "realmmodels,realmtenants,deployments,pods,services", "--output", "wide"],
            &["get", "realmmodels", "--output", "jsonpath={.items[*].status}"],
            &["get", "events", "--sort-by", ".lastTimestamp"],
        ];
        for look in looks {
            eprintln!("{}", self.kubectl(look).unwrap_or_else(|error| format!("{error:#}")));
        }
        for pod in self.list(&["pods"]).unwrap_or_default() {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let log = self.kubectl(&["logs", name, "--all-containers", LOG_LINES]);
            eprintln!("--- log of {name}\n{}", log.unwrap_or_else(|error| format!("{error:#}")));
        }
    }
}
