//! The cluster under test, through its own kubectl: what users have is what the tests use.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Says where a missing variable comes from.
const HOW: &str =
    "run the whole-system tests with `cargo xtask test`, which starts the cluster and sets it";

/// A running cluster and what the tests need beside it.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    model: PathBuf,
}

impl Cluster {
    /// Finds the cluster by the environment.
    ///
    /// # Errors
    /// A variable is missing or names no file; the cluster does not answer.
    pub fn connect() -> Result<Self> {
        let kubeconfig = file_variable("REALM_TEST_KUBECONFIG")?;
        let model = file_variable("REALM_TEST_MODEL")?;
        let beside = kubeconfig.with_file_name("bin").join("kubectl");
        let kubectl = if beside.is_file() { beside } else { PathBuf::from("kubectl") };
        let cluster = Self { kubeconfig, kubectl, model };
        cluster.kubectl(&["get", "--raw=/readyz"]).with_context(|| format!("no cluster; {HOW}"))?;
        Ok(cluster)
    }

    /// The model's GGUF file.
    pub fn model(&self) -> &Path {
        &self.model
    }

    /// Runs kubectl and gives what it prints.
    ///
    /// # Errors
    /// kubectl fails: with its arguments and what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, None)
    }

    /// Plain client-side apply of a manifest, as a user does it.
    pub fn apply(&self, namespace: &str, manifest: &Value) -> Result<()> {
        let arguments = ["--namespace", namespace, "apply", "--filename", "-"];
        self.run(&arguments, Some(&manifest.to_string())).map(drop)
    }

    /// An object, if it is there.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> Result<Option<Value>> {
        let found = self.kubectl(&[
            "--namespace",
            namespace,
            "get",
            kind,
            name,
            "--ignore-not-found",
            "--output",
            "json",
        ])?;
        if found.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&found).with_context(|| format!("read {kind} {name}"))?))
    }

    /// The objects of a list call.
    pub fn list(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let all = [&["get", "--output", "json"], arguments].concat();
        let mut list: Value = serde_json::from_str(&self.kubectl(&all)?).context("read a list")?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            other => bail!("kubectl printed no list but {other}"),
        }
    }

    /// A GET through the API server, also to pods and Services behind it.
    pub fn raw(&self, path: &str) -> Result<String> {
        self.kubectl(&["get", "--raw", path])
    }

    fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let mut child = Command::new(&self.kubectl)
            .env("KUBECONFIG", &self.kubeconfig)
            .args(arguments)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", self.kubectl.display()))?;
        if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
            // A kubectl that ends early says why on standard error.
            let _ = pipe.write_all(text.as_bytes());
        }
        let done = child.wait_with_output().context("wait for kubectl")?;
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        if !done.status.success() {
            let error = String::from_utf8_lossy(&done.stderr);
            bail!("kubectl {} failed: {printed}{error}", arguments.join(" "));
        }
        Ok(printed)
    }
}

fn file_variable(name: &str) -> Result<PathBuf> {
    let value = env::var_os(name).with_context(|| format!("{name} is not set; {HOW}"))?;
    let path = PathBuf::from(value);
    if !path.is_file() {
        bail!("{name} names {}, which is no file; {HOW}", path.display());
    }
    Ok(path)
}
