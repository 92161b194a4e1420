//! `realm bench` with the real model: what it measures, as a table and as JSON.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test by panicking"
)]

#[path = "support/realm_binary.rs"]
mod realm_binary;

use realm_binary::{Home, stderr, stdout};
use serde_json::Value;

const SMALL: [&str; 4] = ["bench", "smollm2", "--repetitions", "2"];
const TOKENS: [&str; 4] = ["-p", "16", "-n", "4"];

#[track_caller]
fn bench(home: &Home, more: &[&str]) -> String {
    let output = home.output(&[&SMALL[..], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[track_caller]
fn json(home: &Home, more: &[&str]) -> Value {
    serde_json::from_str(&bench(home, &[more, &["--json"]].concat())).unwrap()
}

#[track_caller]
fn number(report: &Value, pointer: &str) -> f64 {
    let value = report.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("no number at {pointer} in {report:#}"))
}

#[test]
fn json_holds_every_measure() {
    let home = Home::with_model();
    let batches = ["--batch", "1,3", "--prompt-per-sequence", "8", "--generate-per-sequence", "2"];
    let report = json(
        &home,
        &[&TOKENS[..], &batches[..], &["--threads", "1", "--kv-type", "q8_0"]].concat(),
    );
    for test in ["/prefill", "/decode", "/batched/0", "/batched/1"] {
        let rate = |part: &str| number(&report, &format!("{test}/tokensPerSecond/{part}"));
        let (min, median, max) = (rate("min"), rate("median"), rate("max"));
        assert!(0.0 < min && min <= median && median <= max, "{test}: {min} {median} {max}");
    }
    assert_eq!(number(&report, "/batched/1/sequences"), 3.0);
    assert_eq!(number(&report, "/prefill/tokens"), 16.0);
    assert_eq!(number(&report, "/conditions/threads"), 1.0);
    assert_eq!(report["conditions"]["kvType"], "q8_0");
    assert_eq!(report["model"]["quantization"], "Q4_1");
    let (load, first) = (number(&report, "/loadSeconds"), number(&report, "/firstTokenSeconds"));
    assert!(0.0 < load && load < first, "{load} {first}");
    if cfg!(target_os = "linux") {
        let memory = |part: &str| number(&report, &format!("/memory/{part}"));
        assert_eq!(memory("anonymousBytes") + memory("fileBytes"), memory("residentBytes"));
        assert!((0.0..=1.0).contains(&number(&report, "/conditions/disturbance/others")));
    }
}

#[test]
fn a_shared_beginning_is_computed_once_a_tenant() {
    let home = Home::with_model();
    let more = ["--shared-prefix", "64", "--tenants", "2", "--requests-per-tenant", "3"];
    let report = json(&home, &[&more[..], &["-p", "80", "-n", "0"]].concat());
    assert_eq!(number(&report, "/sharedPrefix/totalTokens"), 480.0);
    // Two whole prompts, and sixteen tokens of four others.
    assert_eq!(number(&report, "/sharedPrefix/computedTokens"), 224.0);
    let median = |which: &str| number(&report, &format!("/sharedPrefix/{which}Seconds/median"));
    assert!(median("later") < median("first"));
}

#[test]
fn a_table_names_the_machine_and_the_tests() {
    let text = bench(&Home::with_model(), &TOKENS);
    for words in ["model ", "kernels", "prefill 16", "TTFT 16", "decode 4", "until the first token"]
    {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    assert!(!text.contains("batch"), "no batch was asked for\n{text}");
}

#[test]
fn the_perplexity_of_plain_words_is_low_and_that_of_noise_is_high() {
    let home = Home::with_model();
    let words = "One, two, three, four, five, six, seven, eight, nine, ten. ".repeat(8);
    let noise: String = (0_u32..400).map(|i| char::from(b'!' + (i * i * 7 % 90) as u8)).collect();
    let perplexity = |name: &str, text: &str, more: &[&str]| {
        let path = home.write(name, text);
        let text = ["--perplexity", path.to_str().unwrap(), "--perplexity-context", "32"];
        number(&json(&home, &[&TOKENS[..], &text[..], more].concat()), "/perplexity/value")
    };
    let known = perplexity("words.txt", &words, &[]);
    let exact = perplexity("words.txt", &words, &["--exact"]);
    assert!((1.0..8.0).contains(&known), "{known}");
    assert!((known / exact - 1.0).abs() < 0.05, "{known} beside {exact}");
    assert!(perplexity("noise.txt", &noise, &[]) > 20.0 * known);
}

#[test]
fn what_the_model_cannot_hold_is_refused_before_anything_runs() {
    let home = Home::with_model();
    for (args, words) in [
        (&["-p", "100000"][..], "--prompt needs 100000 tokens, but the model holds 8192"),
        (&["--batch", "2", "--prompt-per-sequence", "8192"], "--prompt-per-sequence"),
        (&["--shared-prefix", "512"], "--shared-prefix 512 must be less than --prompt 512"),
        (&["--batch", "0"], "invalid value '0'"),
        (&["--kv-type", "q4_0"], "possible values: f16, f32, q8_0"),
    ] {
        let output = home.output(&[&["bench", "smollm2"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}
