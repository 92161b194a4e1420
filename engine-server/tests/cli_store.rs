//! `realm list`, `realm download`, `realm version` and the committed reference of the command line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test by panicking"
)]

#[path = "support/file_server.rs"]
mod file_server;
#[path = "support/realm_binary.rs"]
mod realm_binary;

use std::fmt::Write;

use file_server::{Answer, FileServer, model_bytes};
use realm_binary::{Home, MODEL_DIGEST, MODEL_FILE, manifest, stderr, stdout};
use sha2::{Digest, Sha256};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn list_tells_what_the_files_say() {
    let home = Home::with_model();
    let json: serde_json::Value =
        serde_json::from_slice(&home.output(&["list", "--json"]).stdout).unwrap();
    let [model] = json.as_array().unwrap().as_slice() else { panic!("one model: {json}") };
    assert_eq!(model["digest"], MODEL_DIGEST);
    assert_eq!((&model["quantization"], &model["bytes"]), (&"Q4_1".into(), &98_362_432.into()));
    assert_eq!(
        (&model["parameters"], &model["contextLength"]),
        (&134_515_008.into(), &8192.into())
    );
    let table = stdout(&home.output(&["list"]));
    assert!(
        table.starts_with("NAME") && table.contains("Q4_1") && table.contains(&MODEL_DIGEST[..12]),
        "{table}"
    );
}

#[test]
fn list_shows_a_bad_file_and_an_empty_store() {
    let home = Home::empty();
    assert_eq!(stdout(&home.output(&["list", "--json"])).trim(), "[]");
    let empty = home.output(&["list"]);
    assert!(empty.status.success() && stderr(&empty).contains("is empty"), "{}", stderr(&empty));
    let folder = home.path("store/sha256").join("a".repeat(64));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("bad.gguf"), "GGUF").unwrap();
    std::fs::write(folder.join("growing.gguf.part"), "GGUF").unwrap();
    let output = home.output(&["list"]);
    assert!(
        stdout(&output).contains("bad  ") && !stdout(&output).contains("growing"),
        "{}",
        stdout(&output)
    );
    assert!(stderr(&output).contains("bad.gguf cannot be used: "), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn download_prints_the_path_and_ten_steps() {
    let file = model_bytes(300_000);
    let digest = sha256(&file);
    let server = FileServer::start(&file, vec![Answer::CutAfter(50_000), Answer::Good]).await;
    let home = Home::empty();
    let url = format!("{}/m.gguf", server.url);
    let args = ["download", &url, "--sha256", &digest];
    let output = home.output(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let path = stdout(&output);
    assert_eq!(
        path.trim(),
        home.path("store/sha256").join(&digest).join("m.gguf").to_str().unwrap()
    );
    assert_eq!(std::fs::read(path.trim()).unwrap(), file);
    let said = stderr(&output);
    assert!(
        said.contains("trying again in") && said.contains("downloading m.gguf: 100 %"),
        "{said}"
    );
    assert!(said.lines().count() < 25, "a line per ten percent: {said}");

    let json = home.output(&[&args[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["digest"], &json["bytes"]), (&digest.into(), &300_000.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn hugging_face_sources_use_endpoint_token_and_exit_codes() {
    let file = model_bytes(1000);
    let home = Home::empty();
    let word = "hf:o/r/m.gguf@v1";
    for (answer, code) in [(Answer::Status(404), 3), (Answer::Status(401), 1), (Answer::Good, 0)] {
        let server = FileServer::start(&file, vec![answer.clone()]).await;
        let mut command = home.realm(&["download", word]);
        let output =
            command.env("HF_ENDPOINT", &server.url).env("HF_TOKEN", "hf_x").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{answer:?}: {}", stderr(&output));
        let seen = server.seen().remove(0);
        assert_eq!(
            (seen.path.as_str(), seen.authorization.as_deref()),
            ("/o/r/resolve/v1/m.gguf", Some("Bearer hf_x"))
        );
    }
}

#[test]
fn a_manifest_or_engine_config_that_is_in_the_store_needs_no_network() {
    let home = Home::with_model();
    home.write("model.yaml", manifest(""));
    let config = serde_json::json!({
        "namespace": "default", "resource": "smollm2", "generation": 1, "servedName": "smollm2", "aliases": [],
        "source": { "huggingFace": { "repo": "o/r", "file": MODEL_FILE } }, "digest": MODEL_DIGEST,
        "engine": { "parallel": 4, "batchTokens": 512 }, "anonymous": true, "drainTimeoutSeconds": 5,
    });
    home.write("engine.json", config.to_string());
    for args in [["download", "-f", "model.yaml"], ["download", "--config", "engine.json"]] {
        let output = home.output(&args);
        assert!(stdout(&output).trim().ends_with(MODEL_FILE), "{}", stderr(&output));
    }
}

#[test]
fn version_and_reference() {
    let home = Home::empty();
    assert!(
        stdout(&home.output(&["version"]))
            .starts_with(concat!("realm ", env!("CARGO_PKG_VERSION")))
    );
    let reference = stdout(&home.output(&["help-markdown"]));
    expect_test::expect_file!["../../docs/cli.md"].assert_eq(&reference);
}
