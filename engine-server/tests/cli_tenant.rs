//! `realm tenant`: templates, components of modules, what a server would say to a program, and what its hooks do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_collect,
    reason = "helpers of tests fail the test by panicking; texts of guests are not large"
)]

#[allow(dead_code, reason = "the sandbox's own tests use more of it")]
#[path = "../../sandbox/tests/sandbox/guests.rs"]
mod guests;
#[path = "support/realm_binary.rs"]
mod realm_binary;

use std::process::Output;

use guests::{ANSWER, Guest, PLAN, data, plain, plan, storing};
use realm_binary::{Home, stderr};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const LOG: &str = r#"(import "realm:tenant/log@0.1.0" "emit" (func $log (param i32 i32 i32)))"#;

/// Deadlines that a loaded machine does not reach by itself, and one run.
const PATIENT: [&str; 8] =
    ["--hook-millis", "1000", "--token-millis", "1000", "--request-millis", "60000", "--runs", "2"];

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {} {}", String::from_utf8_lossy(&output.stdout), stderr(output))
    })
}

/// The guest as a file, and what `realm tenant test` makes of it.
fn test(guest: &Guest, more: &[&str]) -> Output {
    let home = Home::empty();
    home.write("p.wasm", guest.build());
    home.write("tokens.jsonl", "{\"id\":7,\"text\":\"one \"}\n{\"id\":8,\"text\":\"two\"}\n");
    let all = ["tenant", "test", "p.wasm", "--json", "--tokens", "tokens.jsonl"];
    home.output(&[&all[..], &PATIENT, more].concat())
}

#[test]
fn a_check_tells_what_a_server_would_say() {
    let home = Home::empty();
    let filter = Guest::filter().build();
    home.write("filter.wasm", &filter);
    home.write("curious.wasm", Guest::request(&plain()).importing(LOG).build());
    home.write("module.wasm", wat::parse_str("(module)").unwrap());
    home.write("text.wasm", "no WebAssembly");
    let check = |file: &str, more: &[&str]| {
        home.output(&[&["tenant", "check", file, "--json", "--hook-millis", "1000"], more].concat())
    };

    let good = check("filter.wasm", &[]);
    let json = parsed(&good);
    assert!(good.status.success(), "{}", stderr(&good));
    assert_eq!(json["admitted"], true);
    assert_eq!(json["world"], "filter");
    assert_eq!(json["hooks"], json!(["on-request", "on-tokens", "on-response"]));
    assert_eq!(json["sha256"], hex::encode(Sha256::digest(&filter)));
    assert_eq!(json["bytes"], filter.len());

    let curious = check("curious.wasm", &[]);
    assert_eq!(curious.status.code(), Some(1));
    assert_eq!(parsed(&curious)["needs"], json!(["Log"]));
    assert!(stderr(&curious).contains("`log`, which is not granted"), "{}", stderr(&curious));
    assert!(check("curious.wasm", &["--grants", "Log,Store"]).status.success());

    for (file, words) in [("module.wasm", "core module"), ("text.wasm", "no WebAssembly")] {
        let refused = check(file, &[]);
        assert_eq!(refused.status.code(), Some(1));
        let reason = parsed(&refused)["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains(words), "{reason}");
    }
    assert_eq!(check("absent.wasm", &[]).status.code(), Some(3));
    assert_eq!(check("filter.wasm", &["--grants", "Weights"]).status.code(), Some(2));
}

#[test]
fn a_module_becomes_a_component_of_the_world_that_is_named() {
    let home = Home::empty();
    home.write("m.wasm", wat::parse_str(Guest::request(&plain()).text()).unwrap());
    let build = |file: &str, more: &[&str]| {
        home.output(&[&["tenant", "build", file, "--json"], more].concat())
    };
    let nameless = build("m.wasm", &[]);
    assert_eq!(nameless.status.code(), Some(2));
    assert!(stderr(&nameless).contains("--world"), "{}", stderr(&nameless));

    let built = build("m.wasm", &["--world", "guard"]);
    assert_eq!(parsed(&built)["file"], "m.component.wasm", "{}", stderr(&built));
    let checked = home.output(&["tenant", "check", "m.component.wasm", "--json"]);
    assert_eq!(parsed(&checked)["world"], "guard");
    assert_eq!(parsed(&checked)["sha256"], parsed(&built)["sha256"]);

    let wasi = r#"(module (import "wasi_snapshot_preview1" "fd_write"
        (func (param i32 i32 i32 i32) (result i32))))"#;
    home.write("wasi.wasm", wat::parse_str(wasi).unwrap());
    let cases = [
        ("m.component.wasm", "guard", "component already"),
        ("wasi.wasm", "guard", "fd_write"),
        ("m.wasm", "sampler", "does not fit"),
    ];
    for (file, world, words) in cases {
        let refused = build(file, &["--world", world]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(words), "{}", stderr(&refused));
    }
}

#[test]
fn a_test_tells_what_hooks_decide_and_how_long_they_take() {
    let refused = test(&Guest::refusing(403, "words", "no such talk"), &[]);
    let json = parsed(&refused);
    assert_eq!(json["events"][0]["decision"]["status"], 403, "{}", stderr(&refused));
    assert_eq!(json["answer"], Value::Null);
    assert_eq!(json["micros"]["on-request"]["calls"], 2);

    let stop = storing(&[(ANSWER, 5), (ANSWER + 4, 2)]);
    let words = [(PLAN + plan::SUBSCRIBE, 1), (PLAN + plan::EVERY, 1)];
    let clean = format!("(memory.fill (i32.const {ANSWER}) (i32.const 0) (i32.const 256)) ");
    let watching = |on_tokens: &str| Guest {
        on_request: Some(storing(&words)),
        on_tokens: Some(format!("{clean} {on_tokens}")),
        ..Guest::filter()
    };
    let json = parsed(&test(&watching(&stop), &[]));
    assert_eq!(json["events"][1]["decision"], json!({"does": "stop", "why": "filtered"}));
    assert_eq!((&json["answer"], &json["finish"]), (&json!(""), &json!("filtered")));

    let json = parsed(&test(&watching(&plain()), &[]));
    assert_eq!(json["events"][2]["shown"], "two");
    assert_eq!(json["events"][2]["decision"]["does"], "pass");
    assert_eq!(json["answer"], "one two");
    assert_eq!(json["micros"]["on-tokens"]["calls"], 4);

    let trapping = test(&watching("(unreachable)"), &[]);
    assert_eq!(trapping.status.code(), Some(1));
    assert!(stderr(&trapping).contains("on-tokens hook trapped"), "{}", stderr(&trapping));
}

#[test]
fn redaction_and_logs_are_as_in_the_server() {
    let words = [
        (PLAN + plan::REDACT, 3000),
        (PLAN + plan::REDACT + 4, 1),
        (3000, 2048),
        (3004, 3),
        (3008, 0),
        (PLAN + plan::REDACTION, 2056),
        (PLAN + plan::REDACTION + 4, 1),
    ];
    let say = "(call $log (i32.const 1) (i32.const 2048) (i32.const 3)) ";
    let guest = Guest::request(&format!("{say}{}", storing(&words)))
        .importing(LOG)
        .with(&data(2048, "two"))
        .with(&data(2056, "#"));
    let output = test(&guest, &["--grants", "log"]);
    let json = parsed(&output);
    assert_eq!(json["answer"], "one #", "{}", stderr(&output));
    assert_eq!(json["log"], json!(["info two"]));
    assert_eq!(json["events"][0]["decision"]["redactsAs"], "#");
    assert!(stderr(&test(&guest, &[])).contains("not granted"));
    assert_eq!(test(&guest, &["--runs", "0"]).status.code(), Some(2));
}

#[test]
fn templates_are_written_whole_and_never_over_something() {
    let home = Home::empty();
    for (language, file) in [
        ("rust", "realm-guest/wit/types.wit"),
        ("js", "wit/deps/realm-tenant/types.wit"),
        ("c", "program.c"),
    ] {
        let name = format!("my-{language}");
        let new = || home.output(&["tenant", "new", "--lang", language, &name]);
        let output = new();
        assert!(output.status.success(), "{}", stderr(&output));
        let readme = std::fs::read_to_string(home.path(&name).join("README.md")).unwrap();
        assert!(readme.contains(&name) && !readme.contains("program-name"), "{readme}");
        assert!(home.path(&name).join(file).is_file(), "{file}");
        assert_eq!(new().status.code(), Some(2));
    }
    for bad in ["", "A", "../up", "1st", "a/b"] {
        let output = home.output(&["tenant", "new", "--lang", "c", bad]);
        assert_eq!(output.status.code(), Some(2), "{bad}");
    }
}
