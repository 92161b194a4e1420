//! `cargo xtask demo`: from a fresh clone to an answer. Fetches the demo model, builds `realm`, serves the same example
//! manifest that `kubectl apply` takes, asks one question over HTTP, prints the answer and keeps serving.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{demo_model, paths, program};

const MANIFEST: &str = "manifests/examples/realmmodel.yaml";
const MODEL: &str = "smollm2";
const QUESTION: &str = "Name the capital of France.";
/// A 98 MB model maps in well under a second; a cold disk may need more.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Options of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Port of the API on 127.0.0.1
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of health and metrics on 127.0.0.1
    #[arg(long, default_value_t = 8081)]
    management_port: u16,
    /// Stop after the answer instead of serving on
    #[arg(long)]
    once: bool,
}

/// Runs the demo in the repository at `root`.
pub fn run(root: &Path, args: &DemoArgs) -> Result<()> {
    let store = paths::model_store()?;
    demo_model::ensure(root, &store)?;
    println!("demo: building realm (a few minutes the first time)");
    program::run(program::cargo(root).args([
        "build",
        "--release",
        "--package",
        "realm-engine-server",
    ]))?;
    let mut server = serve(root, &store, args)?;
    let answer = ask_when_ready(&mut server, args.port);
    if let Err(error) = answer {
        stop(&mut server);
        return Err(error);
    }
    if args.once {
        stop(&mut server);
        return Ok(());
    }
    println!(
        "\nServing on http://127.0.0.1:{} until Ctrl-C. Try:\n\n{}\n",
        args.port,
        curl(args.port)
    );
    let status = server.wait().context("wait for realm")?;
    println!("realm ended with {status}");
    Ok(())
}

fn serve(root: &Path, store: &Path, args: &DemoArgs) -> Result<Child> {
    let binary: PathBuf = paths::target(root).join("release/realm");
    program::command(&binary, root)
        .args(["serve", "-f", MANIFEST, "--port", &args.port.to_string()])
        .args(["--management-port", &args.management_port.to_string()])
        .arg("--store")
        .arg(store)
        .spawn()
        .with_context(|| format!("start {}", binary.display()))
}

fn ask_when_ready(server: &mut Child, port: u16) -> Result<()> {
    wait_ready(server, port)?;
    let request = json!({
        "model": MODEL,
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0,
        "max_tokens": 32,
    });
    let answer: Value = ureq::post(format!("http://127.0.0.1:{port}/v1/chat/completions"))
        .send_json(request)
        .context("ask the model")?
        .body_mut()
        .read_json()
        .context("read the answer")?;
    let text =
        answer["choices"][0]["message"]["content"].as_str().context("the answer has no text")?;
    println!("\n> {QUESTION}\n{text}");
    Ok(())
}

/// Waits until `/readyz` says 200, or the server ends.
fn wait_ready(server: &mut Child, port: u16) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    while Instant::now() < deadline {
        if let Some(status) = server.try_wait()? {
            bail!("realm ended with {status} before it was ready; its message stands above");
        }
        if ureq::get(format!("http://127.0.0.1:{port}/readyz")).call().is_ok() {
            return Ok(());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    bail!("realm was not ready after {} s", READY_TIMEOUT.as_secs())
}

fn stop(server: &mut Child) {
    // Already gone is as good as stopped.
    let _ = server.kill();
    let _ = server.wait();
}

fn curl(port: u16) -> String {
    format!(
        "curl -N http://127.0.0.1:{port}/v1/chat/completions -H 'content-type: application/json' \\\n  \
         -d '{{\"model\": \"{MODEL}\", \"stream\": true, \"messages\": [{{\"role\": \"user\", \"content\": \"{QUESTION}\"}}]}}'"
    )
}
