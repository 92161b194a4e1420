//! An answer's text on its way through a program and the host's own work.

use std::sync::Arc;

use realm_sandbox::{
    Breach, Program,
    filter::{Filter, Passed},
    wire::{Finish, Usage},
};

use crate::{
    guests::{ANSWER, Guest, PLAN, data, plain, plan, storing},
    support::{program, prompt, request, terms},
};

/// A filter whose plan has these words and whose `on-tokens` has that body.
fn guest(words: &[(u32, u32)], on_tokens: &str) -> Guest {
    let body = storing(words);
    let filter = Guest::filter();
    // The plan's place is used by later answers, so they begin with a clean slate.
    let clean = format!("(memory.fill (i32.const {ANSWER}) (i32.const 0) (i32.const 256)) ");
    Guest {
        on_request: Some(body),
        on_tokens: Some(format!("{clean} {on_tokens}")),
        on_response: Some(format!("{clean} {}", plain())),
        ..filter
    }
    .with(&data(2048, "secret"))
    .with(&data(2060, "[gone]"))
}

const EVERY_TOKEN: [(u32, u32); 2] = [(PLAN + plan::SUBSCRIBE, 1), (PLAN + plan::EVERY, 1)];
/// Wake on the word at 2048, and be called only then.
const WAKE: [(u32, u32); 6] = [
    (PLAN + plan::SUBSCRIBE, 1),
    (PLAN + plan::WAKE, 3000),
    (PLAN + plan::WAKE + 4, 1),
    (3000, 2048),
    (3004, 6),
    (3008, 0),
];
const REDACT: [(u32, u32); 7] = [
    (PLAN + plan::REDACTION, 2060),
    (PLAN + plan::REDACTION + 4, 6),
    (PLAN + plan::REDACT, 3000),
    (PLAN + plan::REDACT + 4, 1),
    (3000, 2048),
    (3004, 6),
    (3008, 0),
];

fn filter(program: &Arc<Program>) -> Filter {
    let mut run = program.begin(7).unwrap();
    let plan = run.on_request(request(), prompt()).unwrap().unwrap();
    Filter::new(run, &plan).unwrap()
}

/// The answer in pieces of one token each; what was sent, and the reason of an early end.
fn sent(filter: &mut Filter, pieces: &[&str]) -> Result<(String, Option<Finish>), Breach> {
    let mut all = String::new();
    for piece in pieces {
        let Passed { text, end } = filter.push(&[65], piece)?;
        all += &text;
        if end.is_some() {
            return Ok((all, end));
        }
    }
    let ended = filter.finish(Finish::Stop, Usage::default())?;
    Ok((all + &ended.text, None))
}

#[test]
fn a_plan_that_leaves_answers_alone_needs_no_filter() {
    let program = program(&Guest::filter(), terms());
    let mut run = program.begin(7).unwrap();
    let plan = run.on_request(request(), prompt()).unwrap().unwrap();
    assert!(Filter::new(run, &plan).is_none());
}

#[test]
fn the_host_redacts_without_the_guest() {
    let program = program(&guest(&REDACT, "(unreachable)"), terms());
    let mut filter = filter(&program);
    assert!(!filter.calls_guest());
    let pieces = ["a se", "cret ", "and secre", "cy"];
    assert_eq!(sent(&mut filter, &pieces).unwrap().0, "a [gone] and secrecy");
}

#[test]
fn a_guest_sees_each_token_and_replaces() {
    let replace = storing(&[(ANSWER, 1), (ANSWER + 4, 2060), (ANSWER + 8, 6)]);
    let program = program(&guest(&EVERY_TOKEN, &replace), terms());
    assert_eq!(sent(&mut filter(&program), &["a", "b"]).unwrap().0, "[gone][gone]");
}

/// Passes when two tokens wait, and holds before.
#[test]
fn what_is_held_is_shown_again_with_what_follows() {
    let hold = format!(
        "(if (i32.ge_u (local.get 2) (i32.const 2)) (then (return (i32.const {ANSWER}))))
         {}",
        storing(&[(ANSWER, 2)])
    );
    let program = program(&guest(&EVERY_TOKEN, &hold), terms());
    let mut filter = filter(&program);
    assert_eq!(filter.push(&[1], "a").unwrap().text, "");
    assert_eq!(filter.push(&[2], "b").unwrap().text, "ab");
    assert_eq!(filter.push(&[3], "c").unwrap().text, "");
    assert_eq!(filter.finish(Finish::Length, Usage::default()).unwrap().text, "c");
}

#[test]
fn a_trigger_wakes_the_guest_before_any_of_it_is_sent() {
    let stop = storing(&[(ANSWER, 5), (ANSWER + 4, 2)]);
    let program = program(&guest(&WAKE, &stop), terms());
    let pieces = ["so ", "far ", "the se", "cr", "et is", "never sent"];
    let (text, end) = sent(&mut filter(&program), &pieces).unwrap();
    assert_eq!((text.as_str(), end), ("so far ", Some(Finish::Filtered)));
    let (text, end) = sent(&mut filter(&program), &["a se", "ction"]).unwrap();
    assert_eq!((text.as_str(), end), ("a section", None));
}

#[test]
fn clean_text_never_calls_the_guest() {
    let program = program(&guest(&WAKE, "(unreachable)"), terms());
    let pieces: Vec<String> = (0..100).map(|n| format!("word {n} ")).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    assert_eq!(sent(&mut filter(&program), &pieces).unwrap().0, pieces.concat());
    assert!(!program.counters().hooks.contains_key(&realm_sandbox::Hook::OnTokens));
}

#[test]
fn what_is_not_executed_is_refused_by_name() {
    let inject = storing(&[(ANSWER, 3), (ANSWER + 4, 2048), (ANSWER + 8, 1), (2048, 65)]);
    let rewind = storing(&[(ANSWER, 4), (ANSWER + 4, 1)]);
    for (body, name) in [(inject, "inject"), (rewind, "rewind")] {
        let program = program(&guest(&EVERY_TOKEN, &body), terms());
        let breach = sent(&mut filter(&program), &["a"]).unwrap_err();
        assert!(breach.to_string().contains(name), "{breach}");
    }
}

#[test]
fn a_guest_that_holds_for_ever_is_ended() {
    let program = program(&guest(&EVERY_TOKEN, &storing(&[(ANSWER, 2)])), terms());
    let piece = "x".repeat(1000);
    let pieces = vec![piece.as_str(); 100];
    assert!(sent(&mut filter(&program), &pieces).is_err());
}
