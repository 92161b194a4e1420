//! Hooks of guests that behave: what they are told, what they may answer, and what becomes of it.

use realm_sandbox::{
    Hook,
    answer::{Action, Decision},
    host::KeyValues as _,
    wire::{Batch, Constraint, Finish, Prompt, Step, Usage},
};

use crate::{
    guests::{ANSWER, Guest, PLAN, data, plain, plan, storing},
    support::{Tenant, ask, open, program, prompt, request, terms},
};

#[test]
fn an_empty_plan_leaves_the_request_as_it_is() {
    let plan = ask(&program(&Guest::request(&plain()), terms())).unwrap().unwrap();
    assert!(plan.is_native() && plan.prompt.is_none() && plan.stop.is_empty());
    assert_eq!(plan.top, realm_sandbox::plan::DEFAULT_TOP);
}

#[test]
fn every_field_of_a_plan_arrives() {
    let words = [
        // prompt: some, text
        (PLAN + plan::PROMPT, 1),
        (PLAN + plan::PROMPT + 4, 0),
        (PLAN + plan::PROMPT + 8, 2048),
        (PLAN + plan::PROMPT + 12, 5),
        (PLAN + plan::ROUTE, 1),
        (PLAN + plan::ROUTE + 4, 2060),
        (PLAN + plan::ROUTE + 8, 5),
        (PLAN + plan::TEMPERATURE, 1),
        (PLAN + plan::TEMPERATURE + 4, 0.5_f32.to_bits()),
        (PLAN + plan::MAX_TOKENS, 1),
        (PLAN + plan::MAX_TOKENS + 4, 9),
        (PLAN + plan::STOP, 2072),
        (PLAN + plan::STOP + 4, 1),
        (2072, 2048),
        (2076, 5),
        (PLAN + plan::BIAS, 2080),
        (PLAN + plan::BIAS + 4, 1),
        (2080, 65),
        (2084, (-100.0_f32).to_bits()),
        (PLAN + plan::CONSTRAINT, 1),
        (PLAN + plan::CONSTRAINT + 4, 1),
        (PLAN + plan::CONSTRAINT + 8, 2048),
        (PLAN + plan::CONSTRAINT + 12, 5),
        // one trigger: pattern, is-regex
        (PLAN + plan::REDACT, 2096),
        (PLAN + plan::REDACT + 4, 1),
        (2096, 2048),
        (2100, 5),
        (2104, 0),
        (PLAN + plan::WAKE, 2112),
        (PLAN + plan::WAKE + 4, 1),
        (2112, 2060),
        (2116, 5),
        (2120, 1),
        (PLAN + plan::SUBSCRIBE, 0b011),
        (PLAN + plan::EVERY, 4),
        (PLAN + plan::TOP, 32),
    ];
    let guest =
        Guest::request(&storing(&words)).with(&data(2048, "hello")).with(&data(2060, "other"));
    let plan = ask(&program(&guest, terms())).unwrap().unwrap();
    assert_eq!(plan.prompt, Some(Prompt::Text("hello".to_owned())));
    assert_eq!(plan.route.as_deref(), Some("other"));
    assert_eq!(plan.sampling.temperature, Some(0.5));
    assert_eq!(plan.max_tokens, Some(9));
    assert_eq!(plan.stop, ["hello"]);
    assert_eq!(plan.bias, [(65, -100.0)]);
    assert_eq!(plan.constraint, Some(Constraint::Regex("hello".to_owned())));
    assert!(plan.redact.is_some() && plan.wake.is_some());
    assert_eq!((plan.tokens, plan.logits, plan.response), (true, true, false));
    assert_eq!((plan.every, plan.top), (4, 32));
}

#[test]
fn a_program_refuses_a_request_in_its_own_words() {
    let program = program(&Guest::refusing(403, "blocked", "not allowed"), terms());
    let reject = ask(&program).unwrap().unwrap_err();
    assert_eq!((reject.status, reject.code.as_str()), (403, "blocked"));
    assert_eq!(reject.message, "not allowed");
    assert_eq!(program.counters().rejected, 1);
}

/// The guest answers with the prompt's address and length as the code of its refusal, so what it was told comes back.
#[test]
fn a_guest_is_told_of_the_request() {
    let body = format!(
        "(i32.store (i32.const {ANSWER}) (i32.const 1))
         (i32.store (i32.const {}) (i32.const 400))
         (i32.store (i32.const {}) (local.get 4))
         (i32.store (i32.const {}) (local.get 5))
         (i32.store (i32.const {}) (local.get 13))
         (i32.store (i32.const {}) (local.get 14))
         {}",
        ANSWER + 4,
        ANSWER + 8,
        ANSWER + 12,
        ANSWER + 16,
        ANSWER + 20,
        plain()
    );
    let reject = ask(&program(&Guest::request(&body), terms())).unwrap().unwrap_err();
    assert_eq!(reject.code, "acme");
    assert_eq!(reject.message, "Once upon a time");
}

fn batch() -> Batch {
    Batch { first: 0, tokens: vec![72, 105], text: "Hi".to_owned(), woke: None }
}

#[test]
fn tokens_pass_wait_change_and_end() {
    let cases = [
        (storing(&[(ANSWER, 0)]), Action::Pass),
        (
            storing(&[(ANSWER, 1), (ANSWER + 4, 2048), (ANSWER + 8, 3)]),
            Action::Replace("abc".into()),
        ),
        (storing(&[(ANSWER, 2)]), Action::Hold),
        (storing(&[(ANSWER, 3), (ANSWER + 4, 2056), (ANSWER + 8, 1)]), Action::Inject(vec![33])),
        (storing(&[(ANSWER, 4), (ANSWER + 4, 2)]), Action::Rewind(2)),
        (storing(&[(ANSWER, 5), (ANSWER + 4, 2)]), Action::Stop(Finish::Filtered)),
    ];
    for (body, expected) in cases {
        let guest = Guest::tokens(&body).with(&data(2048, "abc")).with(&data(2056, "!\0\0\0"));
        let mut run = program(&guest, terms()).begin(7).unwrap();
        assert_eq!(run.on_tokens(batch()).unwrap(), expected);
        assert_eq!(run.on_tokens(batch()).unwrap(), expected, "the second call");
    }
}

#[test]
fn candidates_are_chosen_kept_changed_and_forced() {
    let cases = [
        (storing(&[(ANSWER, 0)]), Decision::Pass),
        (storing(&[(ANSWER, 1), (ANSWER + 4, 1)]), Decision::Pick(1)),
        (
            storing(&[(ANSWER, 2), (ANSWER + 4, 2048), (ANSWER + 8, 1), (2048, 0b101), (2052, 0)]),
            Decision::Keep(vec![true, false, true]),
        ),
        (
            storing(&[
                (ANSWER, 3),
                (ANSWER + 4, 2048),
                (ANSWER + 8, 3),
                (2048, 1.0_f32.to_bits()),
                (2052, f32::NEG_INFINITY.to_bits()),
                (2056, 0),
            ]),
            Decision::Adjust(vec![1.0, f32::NEG_INFINITY, 0.0]),
        ),
        (
            storing(&[(ANSWER, 4), (ANSWER + 4, 2048), (ANSWER + 8, 1), (2048, 65)]),
            Decision::Force(vec![65]),
        ),
        (storing(&[(ANSWER, 5), (ANSWER + 4, 0)]), Decision::Stop(Finish::Stop)),
    ];
    for (body, expected) in cases {
        let mut run = program(&Guest::logits(&body), terms()).begin(7).unwrap();
        let step = Step { position: 1, last: 65, entropy: 0.5 };
        let decision = run.on_logits(step, vec![66, 67, 68], vec![2.0, 1.0, 0.0]).unwrap();
        assert_eq!(decision, expected);
    }
}

/// The guest picks the candidate with the greatest logit, which it must read from both lists.
#[test]
fn a_guest_reads_both_lists_of_candidates() {
    let body = format!(
        "(local $i i32) (local $best i32)
         (block $done (loop $next
           (br_if $done (i32.ge_u (local.get $i) (local.get 6)))
           (if (f32.gt
                 (f32.load (i32.add (local.get 5) (i32.shl (local.get $i) (i32.const 2))))
                 (f32.load (i32.add (local.get 5) (i32.shl (local.get $best) (i32.const 2)))))
             (then (local.set $best (local.get $i))))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br $next)))
         (i32.store (i32.const {ANSWER}) (i32.const 4))
         (i32.store (i32.const {}) (i32.add (local.get 3) (i32.shl (local.get $best) (i32.const 2))))
         (i32.store (i32.const {}) (i32.const 1))
         {}",
        ANSWER + 4,
        ANSWER + 8,
        plain()
    );
    let mut run = program(&Guest::logits(&body), terms()).begin(7).unwrap();
    let step = Step { position: 0, last: 0, entropy: 0.0 };
    let decision = run.on_logits(step, vec![10, 20, 30], vec![0.0, 5.0, 1.0]).unwrap();
    assert_eq!(decision, Decision::Force(vec![20]));
}

#[test]
fn a_whole_answer_may_be_replaced() {
    let body = storing(&[(ANSWER, 0), (ANSWER + 4, 1), (ANSWER + 8, 2048), (ANSWER + 12, 3)]);
    let guest = Guest::response(&body).with(&data(2048, "new"));
    let mut run = program(&guest, terms()).begin(7).unwrap();
    let answer = run.on_response("old".to_owned(), Finish::Stop, Usage::default()).unwrap();
    assert_eq!(answer.unwrap().as_deref(), Some("new"));
}

#[test]
fn a_hook_that_a_program_lacks_costs_nothing() {
    let program = program(&Guest::request(&plain()), terms());
    assert!(program.has(Hook::OnRequest) && !program.has(Hook::OnTokens));
    let mut run = program.begin(7).unwrap();
    assert_eq!(run.on_tokens(batch()).unwrap(), Action::Pass);
    drop(run);
    assert!(!program.counters().hooks.contains_key(&Hook::OnTokens));
}

#[test]
fn a_guest_of_the_published_world_filter_runs() {
    let mut run = program(&Guest::filter(), terms()).begin(7).unwrap();
    assert!(run.on_request(request(), prompt()).unwrap().is_ok());
    assert_eq!(run.on_tokens(batch()).unwrap(), Action::Pass);
    let answer = run.on_response("x".to_owned(), Finish::Stop, Usage::default()).unwrap();
    assert_eq!(answer.unwrap(), None);
}

#[test]
fn an_open_policy_lets_a_request_go_on() {
    let program = program(&Guest::filter_that_traps(), open(terms()));
    let mut run = program.begin(7).unwrap();
    assert!(run.on_request(request(), prompt()).unwrap().unwrap().is_native());
    assert!(run.is_skipped());
    assert_eq!(run.on_tokens(batch()).unwrap(), Action::Pass);
    assert_eq!(program.counters().skipped, 1);
    assert_eq!(program.counters().breaches_total(), 1);
}

impl Guest {
    fn filter_that_traps() -> Self {
        Self { on_request: Some("(unreachable)".to_owned()), ..Self::filter() }
    }
}

const LOG: &str = r#"(import "realm:tenant/log@0.1.0" "emit" (func $log (param i32 i32 i32)))"#;
const ADD: &str = r#"(import "realm:tenant/store@0.1.0" "add"
    (func $add (param i32 i32 i64 i32)))"#;

#[test]
fn granted_capabilities_reach_the_tenant() {
    let body = format!(
        "(call $log (i32.const 1) (i32.const 2048) (i32.const 5))
         (call $add (i32.const 2048) (i32.const 5) (i64.const 2) (i32.const 3072))
         {}",
        plain()
    );
    let guest = Guest::request(&body).importing(LOG).importing(ADD).with(&data(2048, "hello"));
    let (ours, other) = (Tenant::new(), Tenant::new());
    let program = ours.load(&guest, terms()).unwrap();
    ask(&program).unwrap().unwrap();
    ask(&program).unwrap().unwrap();
    assert_eq!(*ours.recorder.lines.lock().unwrap(), ["hello", "hello"]);
    assert_eq!(ours.store.get("hello").unwrap().as_deref(), Some(&b"4"[..]));
    assert_eq!(other.store.get("hello").unwrap(), None);
}

#[test]
fn log_lines_past_the_requests_bytes_are_dropped_and_counted() {
    let body = format!(
        "(local $i i32)
         (loop $next
           (call $log (i32.const 1) (i32.const 2048) (i32.const 1000))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $next (i32.lt_u (local.get $i) (i32.const 100))))
         {}",
        plain()
    );
    let tenant = Tenant::new();
    let program = tenant.load(&Guest::request(&body).importing(LOG), terms()).unwrap();
    ask(&program).unwrap().unwrap();
    assert_eq!(tenant.recorder.lines.lock().unwrap().len(), 16);
    assert_eq!(program.counters().log_lines_dropped, 84);
}
