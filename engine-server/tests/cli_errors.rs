//! Every exit code, with the words that go with it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test by panicking"
)]

#[path = "support/realm_binary.rs"]
mod realm_binary;

use std::net::TcpListener;

use realm_binary::{Home, manifest, model, stderr, truncated};

#[track_caller]
fn check(home: &Home, args: &[&str], code: i32, words: &str) {
    let output = home.output(args);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(words), "{args:?}: {said}");
    assert!(!said.contains("panicked"), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}: errors do not go to stdout");
}

#[test]
fn usage() {
    let home = Home::empty();
    let two =
        format!("{}---\n{}", manifest(""), manifest("").replace("name: smollm2", "name: other"));
    home.write("two.yaml", two);
    home.write("pvc.yaml", "apiVersion: realm.querent.io/v1alpha1\nkind: RealmModel\nmetadata: {name: m}\nspec: {source: {pvc: {claimName: c, path: m.gguf}}}\n");
    for (args, words) in [
        (&["run"][..], "required"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["serve"], "required"),
        (
            &["serve", "-f", "two.yaml"],
            "2 RealmModels in the files (smollm2, other): this version serves one at a time, choose it with --model NAME",
        ),
        (
            &["serve", "-f", "pvc.yaml", "--port", "0", "--management-port", "0"],
            "--model-file PATH",
        ),
        (&["serve", "--config", "a", "-f", "b"], "cannot be used with"),
        (&["download"], "required"),
        (&["download", "http://127.0.0.1/m.gguf"], "needs a sha256"),
        (
            &["download", "http://127.0.0.1/m.gguf", "--sha256", "abc"],
            "expected 64 hexadecimal digits",
        ),
        (&["download", "hf:owner/repo"], "expected hf:owner/repo/file.gguf"),
        (&["run", "hf:owner/repo", "x"], "expected hf:owner/repo/file.gguf"),
        (&["run", ".", "x"], "is a folder"),
    ] {
        check(&home, args, 2, words);
    }
}

#[test]
fn not_found() {
    let home = Home::empty();
    home.write("model.yaml", manifest(""));
    for (args, words) in [
        (
            &["run", "no-such-model", "x"][..],
            "no model `no-such-model`: there is no such file, and the store",
        ),
        (&["run", "missing.gguf", "x"], "no model `missing.gguf`"),
        (&["serve", "-f", "missing.yaml"], "cannot read missing.yaml"),
        (
            &["serve", "-f", "model.yaml", "--model", "third"],
            "no RealmModel `third` in the files; they hold smollm2",
        ),
        (
            &[
                "serve",
                "-f",
                "model.yaml",
                "--model-file",
                "missing.gguf",
                "--port",
                "0",
                "--management-port",
                "0",
            ],
            "there is no model file missing.gguf",
        ),
        (&["download", "--config", "missing.json"], "there is no file missing.json"),
    ] {
        check(&home, args, 3, words);
    }
}

#[test]
fn a_taken_port_is_unavailable() {
    let home = Home::with_model();
    home.write("model.yaml", manifest(""));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--port", "--management-port"] {
        let other = if flag == "--port" { "--management-port" } else { "--port" };
        check(
            &home,
            &["serve", "-f", "model.yaml", flag, &port, other, "0"],
            4,
            &format!("cannot listen on 127.0.0.1:{port}"),
        );
    }
}

#[test]
fn broken_models_and_manifests() {
    let home = Home::empty();
    truncated(&model(), &home.path("cut.gguf"), 1_000_000);
    truncated(&model(), &home.path("header.gguf"), 20);
    home.write("empty.gguf", "");
    home.write("page.gguf", "<html>log in</html>");
    home.write("model.yaml", manifest(""));
    home.write("bad.yaml", manifest("  replica: 2\n"));
    home.write("other.yaml", manifest("").replace("b179", "0000"));
    let serve = |file| {
        ["serve", "-f", file, "--port", "0", "--management-port", "0", "--model-file", "cut.gguf"]
    };
    for (args, words) in [
        (&["run", "cut.gguf", "x"][..], "cannot load the model cut.gguf"),
        (&["run", "header.gguf", "x"], "cannot load the model header.gguf"),
        (&["run", "empty.gguf", "x"], "cannot load the model empty.gguf"),
        (&["run", "page.gguf", "x"], "cannot load the model page.gguf"),
        (&serve("model.yaml")[..], "but the configuration wants b179"),
        (
            &["serve", "-f", "bad.yaml"],
            "bad.yaml:11: RealmModel smollm2 (document at line 1): spec.replica: no such field; did you mean `replicas`?",
        ),
        (&["serve", "--config", "bad.yaml"], "bad.yaml"),
    ] {
        check(&home, args, 1, words);
    }
    let manifest = manifest("");
    let lines: Vec<_> = manifest.lines().filter(|line| !line.contains("sha256")).collect();
    let without_digest = lines.join("\n");
    home.write("model.yaml", without_digest);
    check(&home, &serve("model.yaml"), 1, "cannot open cut.gguf");
}
