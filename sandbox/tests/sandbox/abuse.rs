//! Guests whose answers mean harm: addresses outside their memory, counts that nobody could serve, tokens that do not
//! exist. Each ends its request with the reason and nothing else.

use realm_sandbox::BreachKind;

use crate::{
    guests::{ANSWER, Guest, PLAN, data, plain, plan, storing},
    hostile::ends,
    support::terms,
};

/// Where a payload begins in the answer of `on-tokens` and `on-logits`.
const PAYLOAD: u32 = ANSWER + 4;
/// Free memory, for lists and strings.
const FREE: u32 = 2048;
const NOT_A_NUMBER: u32 = f32::NAN.to_bits();

fn refused(guests: Vec<(&str, Guest)>) {
    for (name, guest) in guests {
        ends(name, &guest, terms(), BreachKind::Answer);
    }
}

/// An action or decision: its case and two words of its payload, and what lies in memory.
fn case(case: u32, payload: (u32, u32), memory: u32) -> String {
    storing(&[(ANSWER, case), (PAYLOAD, payload.0), (PAYLOAD + 4, payload.1), (FREE, memory)])
}

fn tokens(number: u32, payload: (u32, u32), memory: u32) -> Guest {
    Guest::tokens(&case(number, payload, memory))
}

fn logits(number: u32, payload: (u32, u32), memory: u32) -> Guest {
    Guest::logits(&case(number, payload, memory))
}

/// A plan with a list in one field.
fn listed(field: u32, list: (u32, u32), memory: &[(u32, u32)]) -> Guest {
    let words = [&[(PLAN + field, list.0), (PLAN + field + 4, list.1)], memory].concat();
    Guest::request(&storing(&words))
}

#[test]
fn addresses_that_are_not_the_guests() {
    let import = r#"(import "realm:tenant/log@0.1.0" "emit" (func $log (param i32 i32 i32)))"#;
    let call = format!("(call $log (i32.const 0) (i32.const -1) (i32.const 9)) {}", plain());
    let lie = "(func $f (global.set $bump (i32.const 0x7fffff00))) (start $f)";
    refused(vec![
        ("12 a list", listed(plan::STOP, (0x7FFF_0000, 2), &[])),
        ("12 an answer", Guest::request("(i32.const -16)")),
        ("12 an answer that is not aligned", Guest::request("(i32.const 1025)")),
        ("12 a string", tokens(1, (0x7FFF_FFFF, 9), 0)),
        ("12 a string for the host", Guest::request(&call).importing(import)),
        ("12 a realloc that lies", Guest::request(&plain()).with(lie)),
    ]);
}

#[test]
fn actions_outside_the_batch_and_the_vocabulary() {
    refused(vec![
        ("12 no such case", tokens(77, (0, 0), 0)),
        ("23 invalid UTF-8", tokens(1, (FREE, 2), 0xFFFF)),
        ("23 a replacement that is too long", tokens(1, (0, 70_000), 0)),
        ("23 rewind past the batch", tokens(4, (3, 0), 0)),
        ("23 rewind of nothing", tokens(4, (0, 0), 0)),
        ("23 unknown tokens", tokens(3, (FREE, 1), 99_999)),
        ("23 many tokens", tokens(3, (FREE, 10_000), 0)),
        ("23 no tokens", tokens(3, (FREE, 0), 0)),
    ]);
}

#[test]
fn decisions_outside_the_candidates() {
    refused(vec![
        ("23 no candidate kept", logits(2, (FREE, 1), 0)),
        ("23 a mask of another length", logits(2, (FREE, 9), u32::MAX)),
        ("23 no such candidate", logits(1, (3, 0), 0)),
        ("23 no number", logits(3, (FREE, 3), NOT_A_NUMBER)),
        ("23 infinite", logits(3, (FREE, 3), f32::INFINITY.to_bits())),
        ("23 logits of other candidates", logits(3, (FREE, 2), 0)),
        ("23 unknown tokens forced", logits(4, (FREE, 1), u32::MAX)),
    ]);
}

#[test]
fn plans_that_nobody_could_execute() {
    let regex = "((a{100}){100}){100}";
    let trigger = |pattern: &str, is_regex: u32| {
        let list = [(3072, FREE), (3076, pattern.len() as u32), (3080, is_regex)];
        listed(plan::REDACT, (3072, 1), &list).with(&data(FREE, pattern))
    };
    let number = |field: u32, value: u32| {
        Guest::request(&storing(&[(PLAN + field, 1), (PLAN + field + 4, value)]))
    };
    let grammar = [
        (PLAN + plan::CONSTRAINT, 1),
        (PLAN + plan::CONSTRAINT + 4, 2),
        (PLAN + plan::CONSTRAINT + 8, 65_536),
        (PLAN + plan::CONSTRAINT + 12, 500_000),
    ];
    refused(vec![
        ("23 a status of success", Guest::request(&storing(&[(ANSWER, 1), (PLAN, 200)]))),
        ("23 bias of an unknown token", listed(plan::BIAS, (FREE, 1), &[(FREE, 5000)])),
        ("23 no number", listed(plan::BIAS, (FREE, 1), &[(FREE, 5), (FREE + 4, NOT_A_NUMBER)])),
        ("23 an empty stop", listed(plan::STOP, (FREE, 1), &[])),
        ("23 many stops", listed(plan::STOP, (FREE, 17), &[])),
        ("23 many triggers", listed(plan::WAKE, (FREE, 65), &[])),
        ("23 a huge automaton", trigger(regex, 1)),
        ("23 a match of nothing", trigger("a*", 1)),
        ("23 look-around", trigger("(?=a)b", 1)),
        ("23 a huge grammar", Guest::request(&storing(&grammar)).memory("10")),
        ("23 no token", number(plan::MAX_TOKENS, 0)),
        ("23 a temperature", number(plan::TEMPERATURE, NOT_A_NUMBER)),
        ("23 many candidates", Guest::request(&storing(&[(PLAN + plan::TOP, 5000)]))),
    ]);
}
