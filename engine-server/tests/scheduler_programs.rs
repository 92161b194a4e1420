//! Programs that have a say in each token, beside the step loop of the real engine: what each decision makes of the
//! candidates, and that nobody waits for a program but its own sequence. Guests are real ones, from text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_collect,
    reason = "a test fails by panicking, and so do its helpers; texts of guests are not large"
)]

#[allow(dead_code, reason = "other tests use more of it")]
#[path = "scheduler_shares/bench.rs"]
mod bench;
#[allow(dead_code, reason = "the sandbox's own tests use more of it")]
#[path = "../../sandbox/tests/sandbox/guests.rs"]
mod guests;
#[path = "scheduler_programs/programs.rs"]
mod programs;
#[path = "../../engine/tests/support/tiny_model.rs"]
mod tiny_model;

use bench::{Bench, Setup, ended, labels, request, tenant, words};
use guests::{ANSWER, Guest, plain, storing};
use programs::{Gate, Programmed};
use realm_engine::{engine::TokenId, sampler::SamplerParams};
use realm_engine_server::scheduler::{
    EventReceiver,
    event::{Event, Failure, FinishReason, Output, SequenceRequest},
};
use realm_sandbox::{BreachKind, Hook};

/// Where the tests' decisions keep their lists.
const LIST: u32 = 2048;
/// A token that no answer of the model begins with by itself twice.
const FORCED: [u32; 2] = [65, 66];

/// A decision that picks a candidate.
fn pick(index: u32) -> String {
    storing(&[(ANSWER, 1), (ANSWER + 4, index)])
}

/// A decision with one list.
fn listing(kind: u32, list: &[u32]) -> String {
    let mut words = vec![(ANSWER, kind), (ANSWER + 4, LIST), (ANSWER + 8, list.len() as u32)];
    words.extend(list.iter().enumerate().map(|(at, word)| (LIST + 4 * at as u32, *word)));
    storing(&words)
}

/// The outputs of a sequence and how it ended.
async fn answer(mut events: EventReceiver) -> (Vec<Output>, FinishReason) {
    let mut outputs = Vec::new();
    loop {
        match events.recv().await.expect("a last event") {
            Event::Output(output) => outputs.push(output),
            Event::Finished(finish) => return (outputs, finish.reason),
            other => panic!("{other:?}"),
        }
    }
}

async fn tokens(events: EventReceiver) -> Vec<TokenId> {
    answer(events).await.0.into_iter().flat_map(|output| output.ids).collect()
}

impl Bench {
    fn one(&self, name: &str, request: SequenceRequest) -> EventReceiver {
        self.submit(&tenant(name), vec![request]).remove(0)
    }

    fn running(&self, name: &str) -> i64 {
        self.metrics.requests_running.get_or_create(&labels(name)).get()
    }
}

#[tokio::test]
async fn every_decision_is_heeded() {
    let bench = Setup { max_draft_tokens: 4, ..Setup::default() }.start();
    let programs = Programmed::new();
    let ask = |body: &str| {
        let hook = programs.hook(&Guest::logits(body), 4);
        bench.one("noisy", SequenceRequest { logit_hook: Some(hook), ..request(words(1, 20), 12) })
    };
    let plain_one = tokens(bench.one("noisy", request(words(1, 20), 12))).await;
    let second = tokens(ask(&pick(1))).await;
    assert_eq!((plain_one.len(), second.len()), (12, 12));
    assert_ne!(plain_one, second);
    let none = f32::NEG_INFINITY.to_bits();
    let cases = [
        ("pass", plain(), &plain_one),
        ("pick the likeliest", pick(0), &plain_one),
        ("keep one", one_word(&listing(2, &[0b10, 0])), &second),
        ("adjust", listing(3, &[none, 1.0_f32.to_bits(), none, none]), &second),
        ("keep all", one_word(&listing(2, &[0b1111, 0])), &plain_one),
    ];
    for (name, body, expected) in cases {
        assert_eq!(tokens(ask(&body)).await, *expected, "{name}");
    }
    let forced = tokens(ask(&listing(4, &FORCED))).await;
    assert_eq!(forced, FORCED.repeat(6));
    let (outputs, reason) = answer(ask(&storing(&[(ANSWER, 5), (ANSWER + 4, 2)]))).await;
    assert_eq!((outputs, reason), (Vec::new(), FinishReason::Filtered));
    bench.stop().await;
}

/// The list of a `keep` has 64-bit words: two of the numbers stored are one.
fn one_word(body: &str) -> String {
    let two = format!("(i32.store (i32.const {}) (i32.const 2))", ANSWER + 8);
    let one = format!("(i32.store (i32.const {}) (i32.const 1))", ANSWER + 8);
    assert!(body.contains(&two));
    body.replace(&two, &one)
}

#[tokio::test]
async fn probabilities_are_those_of_the_row_that_the_program_saw() {
    let bench = Setup::default().start();
    let programs = Programmed::new();
    let asked = SequenceRequest {
        logit_hook: Some(programs.hook(&Guest::logits(&pick(1)), 8)),
        top_logprobs: Some(2),
        sampling: SamplerParams { temperature: 0.0, ..SamplerParams::default() },
        ..request(words(3, 20), 12)
    };
    let (outputs, _) = answer(bench.one("noisy", asked)).await;
    let entries: Vec<_> = outputs.into_iter().flat_map(|output| output.logprobs).collect();
    assert!(entries.len() >= 4, "{entries:?}");
    for entry in entries {
        assert_eq!(entry.chosen, entry.top[1], "the second of each row");
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_program_that_only_looks_changes_nothing_of_a_sampled_answer() {
    let bench = Setup::default().start();
    let programs = Programmed::new();
    let hook = programs.hook(&Guest::logits(&plain()), 64);
    let sampled = |hook| {
        let sampling = SamplerParams {
            temperature: 1.2,
            top_p: 0.9,
            seed: Some(11),
            frequency_penalty: 0.5,
            ..SamplerParams::default()
        };
        SequenceRequest { sampling, logit_hook: hook, ..request(words(5, 30), 60) }
    };
    let without = tokens(bench.one("noisy", sampled(None))).await;
    assert_eq!(tokens(bench.one("noisy", sampled(Some(hook)))).await, without);
    bench.stop().await;
}

#[tokio::test]
async fn nobody_waits_for_a_program_but_its_own_sequence() {
    let bench = Setup::default().start();
    let programs = Programmed::new();
    let expected = tokens(bench.one("noisy", request(words(7, 20), 6))).await;
    let gate = Gate::closed();
    let hook = programs.gated_hook(&gate);
    let asking = SequenceRequest { logit_hook: Some(hook), ..request(words(7, 20), 6) };
    let slow = bench.one("noisy", asking);
    gate.reached().await;
    // The program is in the middle of its hook; other requests begin and end, also more than there are threads for programs.
    let others = (0..12).map(|own| request(words(20 + own, 40), 30)).collect();
    for events in bench.submit(&tenant("quiet"), others) {
        assert_eq!(ended(events).await.expect("a finish").completion_tokens, 30);
    }
    assert_eq!(bench.running("noisy"), 1, "it still waits for its program");
    gate.open();
    assert_eq!(tokens(slow).await, expected);
    bench.stop().await;
}

#[tokio::test]
async fn who_leaves_while_a_program_thinks_gives_the_place_back() {
    let bench = Setup::default().start();
    let programs = Programmed::new();
    let gate = Gate::closed();
    let hook = programs.gated_hook(&gate);
    let asking = SequenceRequest { logit_hook: Some(hook), ..request(words(7, 20), 6) };
    drop({
        let events = bench.one("noisy", asking);
        gate.reached().await;
        events
    });
    // Any step looks for those that have left.
    ended(bench.one("quiet", request(words(9, 20), 6))).await.expect("a finish");
    assert_eq!(bench.running("noisy"), 0);
    gate.open();
    bench.stop().await;
}

#[tokio::test]
async fn a_place_that_is_lost_while_a_program_thinks_costs_no_token() {
    let bench = Setup { parallel: 2, prefill_tokens: 32, ..Setup::default() }.start();
    let programs = Programmed::new();
    // So much that the newcomer's tenant is far behind; computed before by a tenant that shares nothing with them.
    let prompts = [words(7, 300), words(8, 300)];
    let mut expected = Vec::new();
    for prompt in &prompts {
        expected.push(tokens(bench.one("reading", request(prompt.clone(), 6))).await);
    }
    // Both places are held by sequences whose programs think.
    let gates = [Gate::closed(), Gate::closed()];
    let mut asking = Vec::new();
    for (prompt, gate) in prompts.into_iter().zip(&gates) {
        let hook = programs.gated_hook(gate);
        let request = SequenceRequest { logit_hook: Some(hook), ..request(prompt, 6) };
        asking.push(bench.one("noisy", request));
        gate.reached().await;
    }
    let quiet = bench.one("quiet", request(words(9, 40), 20));
    assert_eq!(ended(quiet).await.expect("a finish").completion_tokens, 20);
    assert_eq!(bench.yielded("noisy"), 1, "one place was given to who had none");
    for ((asking, gate), expected) in asking.into_iter().zip(gates).zip(expected) {
        gate.open();
        assert_eq!(tokens(asking).await, expected);
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_program_that_fails_ends_its_own_sequence() {
    let bench = Setup::default().start();
    let programs = Programmed::new();
    let beside = bench.one("quiet", request(words(2, 20), 40));
    let hook = programs.hook(&Guest::logits("(unreachable)"), 4);
    let asking = SequenceRequest { logit_hook: Some(hook), ..request(words(7, 20), 6) };
    let failure = ended(bench.one("noisy", asking)).await.expect_err("a failure");
    let Failure::Program(breach) = failure else { panic!("{failure}") };
    assert_eq!((breach.hook, breach.kind), (Hook::OnLogits, BreachKind::Trap));
    assert_eq!(ended(beside).await.expect("a finish").completion_tokens, 40);
    bench.stop().await;
}
