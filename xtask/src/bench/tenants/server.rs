//! A real `realm serve` on loopback with two tenants.

use std::{
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Tokens of a sequence.
const CONTEXT: usize = 1024;
/// Requests of a tenant that the scheduler may see, so that its fairness is measured and not the tenant's limits.
const REQUESTS: usize = 64;
/// Lines that are read for the server's address, at most.
const MAX_LINES: usize = 200;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tenant {
    Noisy,
    Quiet,
}

impl Tenant {
    /// Its API key; the server lives for the measurement and listens on loopback only.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Noisy => "bench-key-of-the-noisy-tenant",
            Self::Quiet => "bench-key-of-the-quiet-tenant",
        }
    }
}

/// A running server; ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Server {
    /// Starts on a free port and waits until it serves.
    pub(crate) fn start(
        binary: &Path,
        model: &Path,
        parallel: usize,
        threads: usize,
    ) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for the server")?;
        let manifests = folder.path().join("manifests.yaml");
        std::fs::write(&manifests, text(parallel, threads)).context("write the manifests")?;
        let mut command = Command::new(binary);
        command.args(["serve", "--port", "0", "--management-port", "0", "-f"]).arg(&manifests);
        command.arg("--model-file").arg(model);
        command.env("REALM_DATA", folder.path()).env("REALM_STORE", folder.path().join("store"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("start {}", binary.display()))?;
        let mut server = Self { child, url: String::new(), _folder: folder };
        let errors = server.child.stderr.take().context("the server has no standard error")?;
        let (url, rest) = address(BufReader::new(errors))?;
        server.url = url;
        // Whatever it says later must not fill the pipe.
        thread::spawn(move || drain(rest));
        Ok(server)
    }

    /// Where it serves.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good as ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(parallel: usize, threads: usize) -> String {
    let tenant = |name: &str| {
        format!(
            "---\napiVersion: realm.querent.io/v1alpha1\nkind: RealmTenant\nmetadata: {{name: {name}}}\nspec:\n  \
             models: [{{name: bench}}]\n  limits: {{maxConcurrent: {REQUESTS}, maxQueued: {REQUESTS}}}\n  apiKeys: [{{name: main, secretKeyRef: {{name: keys, key: {name}}}}}]\n"
        )
    };
    format!(
        "apiVersion: realm.querent.io/v1alpha1\nkind: RealmModel\nmetadata: {{name: bench}}\nspec:\n  \
         source: {{pvc: {{claimName: none, path: model.gguf}}}}\n  \
         engine: {{contextLength: {CONTEXT}, parallel: {parallel}, threads: {threads}, speculation: {{mode: Never}}}}\n\
         {}{}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData: {{noisy: {}, quiet: {}}}\n",
        tenant("noisy"),
        tenant("quiet"),
        Tenant::Noisy.key(),
        Tenant::Quiet.key(),
    )
}

/// Reads on until the server says where it serves, and that it does.
fn address<R: Read>(mut lines: BufReader<R>) -> Result<(String, BufReader<R>)> {
    let mut said = String::new();
    let mut url = None;
    for _ in 0..MAX_LINES {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            bail!("the server ended before it served; it said:\n{said}");
        }
        if line.starts_with("serving ") {
            url = line.trim_end().split(" at ").last().map(str::to_owned);
        }
        if let Some(url) = url.take_if(|_| line.contains("  curl ")) {
            return Ok((url, lines));
        }
        said.push_str(&line);
    }
    bail!("the server did not say where it serves; it said:\n{said}")
}

fn drain(mut rest: impl Read) {
    // It ends with the server.
    let _ = std::io::copy(&mut rest, &mut std::io::sink());
}
