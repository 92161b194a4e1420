//! `realm run` with the real model: what comes out where, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test by panicking"
)]

#[path = "support/realm_binary.rs"]
mod realm_binary;
#[path = "../../engine/tests/support/tiny_model.rs"]
mod tiny_model;

use std::{io::Read, process::Stdio};

use realm_binary::{Home, MODEL_DIGEST, manifest, model, signal, stderr, stdout};

use tiny_model::TinyModel;

/// A prompt that even a small model continues as expected.
const PROMPT: &str = "The capital of France is";
const GREEDY: [&str; 5] = ["--raw", "--temperature", "0", "--max-tokens", "6"];

fn run<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", model], more, &GREEDY].concat()
}

#[test]
fn answers_go_to_stdout_and_measures_to_stderr() {
    let home = Home::empty();
    let path = model();
    let output = home.output(&run(path.to_str().unwrap(), &[PROMPT]));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("Paris"), "{}", stdout(&output));
    assert_eq!(stderr(&output), "");

    let verbose = home.output(&run(path.to_str().unwrap(), &[PROMPT, "-v"]));
    assert_eq!(stdout(&verbose), stdout(&output), "greedy answers are the same");
    let measures = stderr(&verbose);
    assert!(
        measures.contains("prompt: 5 tokens") && measures.contains("answer: 6 tokens"),
        "{measures}"
    );
}

#[test]
fn a_model_is_found_by_name_digest_and_manifest() {
    let home = Home::with_model();
    let manifest = home.write("model.yaml", manifest(""));
    for word in [
        "SmolLM2-135M-Instruct.Q4_1",
        "smollm2",
        &MODEL_DIGEST[..8],
        MODEL_DIGEST,
        manifest.to_str().unwrap(),
    ] {
        let output = home.output(&run(word, &[PROMPT]));
        assert!(
            stdout(&output).contains("Paris"),
            "{word}: {}{}",
            stdout(&output),
            stderr(&output)
        );
    }
}

#[test]
fn a_prompt_comes_through_a_pipe() {
    let home = Home::with_model();
    for args in [run("smollm2", &[]), run("smollm2", &["-"])] {
        let output = home.output_of(&args, &format!("{PROMPT}\n"));
        assert!(stdout(&output).contains("Paris"), "{}{}", stdout(&output), stderr(&output));
    }
    let empty = home.output_of(&run("smollm2", &[]), "\n");
    assert_eq!(empty.status.code(), Some(2));
    assert!(stderr(&empty).contains("standard input is empty"), "{}", stderr(&empty));
}

#[test]
fn the_chat_template_is_applied_and_a_seed_repeats_the_answer() {
    let home = Home::with_model();
    let ask = |seed| {
        let args = [
            "run",
            "smollm2",
            "Tell me a story",
            "--system",
            "You are brief.",
            "--seed",
            seed,
            "--max-tokens",
            "12",
            "--json",
            "--temperature",
            "1.5",
        ];
        let output = home.output(&args);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let (first, again, other) = (ask("1"), ask("1"), ask("2"));
    assert_eq!(first["text"], again["text"]);
    assert_ne!(first["text"], other["text"]);
    let prompt_tokens = first["report"]["promptTokens"].as_u64().unwrap();
    assert!(prompt_tokens > 15, "the template adds its own tokens: {first}");
    assert_eq!(first["seed"], 1);
}

#[test]
fn guesses_change_how_fast_the_answer_comes_and_nothing_else() {
    let home = Home::with_model();
    let ask = |temperature: &str, more: &[&str]| {
        let prompt = "One two three four. One two three four. One two three four. One two";
        let args = [
            &["run", "smollm2", prompt, "--raw", "--json", "--max-tokens", "40", "--seed", "5"],
            &["--temperature", temperature][..],
            more,
        ];
        let output = home.output(&args.concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    for temperature in ["0", "0.7"] {
        let plain = ask(temperature, &["--draft-tokens", "0"]);
        assert_eq!(plain["report"]["draftedTokens"], 0);
        for more in [&["--draft-tokens", "16"][..], &["--draft-model", "smollm2"]] {
            let guessed = ask(temperature, more);
            assert_eq!(guessed["text"], plain["text"], "{more:?} at {temperature}");
            let drafted = guessed["report"]["draftedTokens"].as_u64().unwrap();
            let accepted = guessed["report"]["acceptedTokens"].as_u64().unwrap();
            assert!(drafted > 0 && accepted <= drafted, "{accepted} of {drafted}");
        }
    }
}

#[test]
fn a_draft_model_of_another_vocabulary_is_refused() {
    let home = Home::with_model();
    let stranger = home.write("tiny.gguf", "");
    TinyModel::new().write(&stranger);
    let output = home.output(&run("smollm2", &[PROMPT, "--draft-model", "tiny.gguf"]));
    let said = stderr(&output);
    assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(said.contains("tiny.gguf") && said.contains("same vocabulary"), "{said}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::with_model();
    let mut child = home
        .realm(&["run", "smollm2", PROMPT, "--raw", "--temperature", "0", "--max-tokens", "400"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn ctrl_c_stops_the_answer() {
    let home = Home::with_model();
    for name in ["INT", "TERM"] {
        let mut child = home
            .realm(&[
                "run",
                "smollm2",
                PROMPT,
                "--raw",
                "--temperature",
                "0",
                "--max-tokens",
                "400",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 1]).unwrap();
        signal(&child, name);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), stderr(&output).as_str()),
            (Some(130), "error: interrupted\n")
        );
    }
}

#[test]
fn a_prompt_that_does_not_fit_names_both_numbers() {
    let home = Home::with_model();
    let output = home.output(&["run", "smollm2", PROMPT, "--raw", "--context", "4"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the prompt has 5 tokens, and the context holds 4"),
        "{}",
        stderr(&output)
    );
}
