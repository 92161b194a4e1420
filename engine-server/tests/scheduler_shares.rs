//! Tenants beside one another on the real engine, with a small random model: a flood does not touch who stays within its
//! share, and who all want more than there is get their shares in every stretch of steps. Steps and tokens are
//! counted, not time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

#[path = "scheduler_shares/bench.rs"]
mod bench;
#[path = "../../engine/tests/support/tiny_model.rs"]
mod tiny_model;

use std::sync::Arc;

use bench::{Bench, Setup, Step, ended, request, tenant, words};
use realm_crds::realm_tenant::TenantClass;
use realm_engine_server::{
    scheduler::{
        event::{FinishReason, SequenceRequest, SubmitError},
        fairness::Class,
    },
    tenant::Tenant,
};

/// Requests of the tenant that floods.
const FLOOD: u32 = 50;

/// Prompts that share nothing.
fn flood(tokens: usize) -> Vec<SequenceRequest> {
    (0..FLOOD).map(|own| request(words(1000 + own, 40), tokens)).collect()
}

/// The steps in which all of them waited, from a while after the first such one. A step counts from when the scheduler
/// knew of the requests: the thread that submits them may be held up for as long as the machine likes.
fn contended<'s>(steps: &'s [Step], tenants: &[&str]) -> Vec<&'s Step> {
    let waits = |step: &&Step| tenants.iter().all(|tenant| step.waiting.contains(*tenant));
    let from_first = steps.iter().skip_while(|step| !waits(step));
    from_first.take_while(waits).skip(10).collect()
}

/// The first step from `since` on that found the tenant's requests in the queue or computed something of them.
fn came(steps: &[Step], tenant: &str, since: usize) -> usize {
    let knows = |step: &Step| step.waiting.contains(tenant) || step.tokens_of(tenant) > 0;
    since + steps[since..].iter().position(knows).expect("a step that knows of it")
}

/// Steps from `since` on that had something of the tenant in them.
fn steps_of(steps: &[Step], tenant: &str, since: usize) -> Vec<usize> {
    let has = |at: &usize| steps[*at].tokens_of(tenant) > 0;
    (since..steps.len()).filter(has).collect()
}

#[tokio::test]
async fn a_flood_does_not_touch_who_stays_within_its_share() {
    let setup = Setup { parallel: 8, prefill_tokens: 32, ..Setup::default() };
    let bench = setup.start();
    let (noisy, quiet) = (tenant("noisy"), tenant("quiet"));
    let flood = bench.submit(&noisy, flood(200));
    bench.steps_done(60).await;
    // Half of the places is its share. Each of its answers, with its prompt in pieces of 32, alone in the batch: 2 + 79 steps.
    for round in 0..3 {
        let since = bench.steps().len();
        let requests = (0..4).map(|own| request(words(10 * round + own, 48), 80)).collect();
        for events in bench.submit(&quiet, requests) {
            let finish = ended(events).await.expect("a finish");
            assert_eq!((finish.reason, finish.completion_tokens), (FinishReason::Length, 80));
        }
        let steps = bench.steps();
        let own = steps_of(&steps, "quiet", since);
        // The step that ran when it came, and one in which no sequence of the flood had computed a whole page yet.
        let waited = own[0] - came(&steps, "quiet", since);
        assert!(waited <= 3, "it waited {waited} steps");
        // Four prompts of 48 tokens go in pieces of 32 beside the flood's answers.
        let took = own[own.len() - 1] + 1 - own[0];
        assert!(took <= 6 + 79 + 3, "it took {took} steps");
        let decoding = own[own.len() - 70];
        let last = own[own.len() - 5];
        for step in &steps[decoding..last] {
            assert_eq!(step.tokens_of("quiet"), 4, "each of its answers moves on: {step:?}");
        }
    }
    assert!(bench.yielded("noisy") >= 4, "its newest sequences gave their places up");
    assert_eq!(bench.yielded("quiet"), 0);
    for events in flood {
        ended(events).await.expect("a finish, however often it was interrupted");
    }
    let (computed, cached) = (bench.computed("quiet"), bench.cached("quiet"));
    assert_eq!(computed + cached, 3 * 4 * (48 + 79), "nothing was computed twice");
    bench.stop().await;
}

#[tokio::test]
async fn tenants_that_all_want_more_get_the_same_in_every_stretch() {
    let setup = Setup { parallel: 6, prefill_tokens: 16, batch_tokens: 32, ..Setup::default() };
    let bench = setup.start();
    // One asks for long answers to short prompts, the other the other way round, and comes later.
    let wordy = bench.submit(&tenant("wordy"), flood(120));
    bench.steps_done(30).await;
    let requests: Vec<_> = (0..FLOOD).map(|own| request(words(own, 150), 30)).collect();
    let reading = bench.submit(&tenant("reading"), requests);
    let mut ends = Vec::new();
    for events in wordy.into_iter().chain(reading) {
        ends.push(ended(events).await.expect("a finish"));
    }
    assert_eq!(ends.len(), 2 * FLOOD as usize);
    let steps = bench.steps();
    let contended = contended(&steps, &["wordy", "reading"]);
    let turn = setup.turn_cost() as f64;
    let window = 400;
    assert!(contended.len() > 2 * window, "{} steps", contended.len());
    for stretch in contended.windows(window) {
        let cost = |tenant| stretch.iter().map(|step| step.cost_of(tenant)).sum::<u64>() as f64;
        let (wordy, reading) = (cost("wordy"), cost("reading"));
        assert!((wordy - reading).abs() <= 2.0 * turn, "{wordy} and {reading}, a turn is {turn}");
        let part = wordy / (wordy + reading);
        assert!((0.35..0.65).contains(&part), "{part}");
    }
    bench.stop().await;
}

/// What two floods were given for every stretch of `window` steps in which both had something waiting.
async fn given(bench: &Bench, tenants: [&Arc<Tenant>; 2], window: usize) -> Vec<[f64; 2]> {
    let [first, second] = tenants;
    let mut all = bench.submit(first, flood(60));
    bench.steps_done(30).await;
    all.extend(bench.submit(second, flood(60)));
    for events in all {
        ended(events).await.expect("a finish");
    }
    let steps = bench.steps();
    let names = [first.label.as_str(), second.label.as_str()];
    let contended = contended(&steps, &names);
    assert!(contended.len() > window, "{} steps", contended.len());
    let given = |stretch: &[&Step]| {
        names.map(|name| stretch.iter().map(|step| step.cost_of(name)).sum::<u64>() as f64)
    };
    contended.windows(window).map(given).collect()
}

#[tokio::test]
async fn a_weight_is_a_part_of_every_stretch() {
    let setup = Setup { parallel: 4, prefill_tokens: 8, batch_tokens: 16, ..Setup::default() };
    let bench = setup.start();
    let turn = setup.turn_cost() as f64;
    let light = Tenant { weight: 100, ..Tenant::clone(&tenant("light")) };
    let heavy = Tenant { weight: 300, ..Tenant::clone(&tenant("heavy")) };
    let stretches = given(&bench, [&Arc::new(light), &Arc::new(heavy)], 600).await;
    for [light, heavy] in stretches {
        let lag = heavy / 300.0 - light / 100.0;
        assert!(lag.abs() <= turn * (1.0 / 100.0 + 1.0 / 300.0), "{light} and {heavy}");
        assert!(heavy > 2.0 * light, "{light} and {heavy}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_class_goes_before_another_and_leaves_it_something() {
    let setup = Setup { parallel: 4, prefill_tokens: 8, batch_tokens: 16, ..Setup::default() };
    let bench = setup.start();
    let turn = setup.turn_cost() as f64;
    let batch =
        Tenant { class: TenantClass::Batch, weight: 1000, ..Tenant::clone(&tenant("batch")) };
    let urgent = Tenant { class: TenantClass::Realtime, ..Tenant::clone(&tenant("urgent")) };
    let stretches = given(&bench, [&Arc::new(batch), &Arc::new(urgent)], 600).await;
    let (first, last) = (f64::from(Class::Realtime.share()), f64::from(Class::Batch.share()));
    let mut leavings = 0.0;
    for [batch, urgent] in &stretches {
        let lag = urgent / first - batch / last;
        assert!(lag.abs() <= turn * (1.0 / first + 1.0 / last), "{batch} and {urgent}");
        assert!(
            urgent > &(4.0 * batch),
            "a weight of another class counts nothing: {batch}, {urgent}"
        );
        leavings += batch;
    }
    assert!(leavings > 0.0, "something is left for it");
    bench.stop().await;
}

#[tokio::test]
async fn a_tenant_stays_within_its_part_of_the_kv_cache() {
    let setup = Setup { parallel: 8, max_draft_tokens: 4, ..Setup::default() };
    let bench = setup.start();
    let pages = 7;
    let bounded = Arc::new(bench.with_kv_pages(&tenant("bounded"), pages));
    let free = tenant("quiet");
    let prompt = |own| request(words(own, 20 + own as usize), 90);
    let own: Vec<SequenceRequest> = (0..5).map(prompt).collect();
    let others = bench.submit(&free, (0..3).map(|own| request(words(own, 60), 200)).collect());
    let own = bench.submit(&bounded, own);
    for events in own.into_iter().chain(others) {
        let finish = ended(events).await.expect("a finish");
        assert_eq!(finish.reason, FinishReason::Length);
    }
    let steps = bench.steps();
    let most = steps.iter().filter_map(|step| step.pages.get("bounded")).max();
    assert!(most <= Some(&pages), "{most:?} pages of {pages}");
    let together = steps.iter().map(|step| step.sequences_of("bounded")).max();
    assert_eq!(together, Some(3), "as many as the budget lets begin together");
    assert!(bench.preempted("bounded") > 0, "its own sequences gave way to one another");
    assert_eq!((bench.preempted("quiet"), bench.yielded("quiet")), (0, 0), "and nobody else's did");
    bench.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_a_budget_says_so_or_ends_at_it() {
    let bench = Setup::default().start();
    let bounded = Arc::new(bench.with_kv_pages(&tenant("bounded"), 2));
    let error = bench.try_submit(&bounded, vec![request(words(1, 65), 5)]).expect_err("too long");
    assert!(matches!(error, SubmitError::KvBudget { tokens: 65, limit: 64, .. }), "{error:?}");
    assert!(error.to_string().contains("limits.kvBytes"), "{error}");
    let events = bench.submit(&bounded, vec![request(words(1, 64), 5), request(words(2, 40), 900)]);
    let mut produced = Vec::new();
    for events in events {
        let finish = ended(events).await.expect("a finish");
        assert_eq!(finish.reason, FinishReason::Length);
        produced.push(finish.completion_tokens);
    }
    // The last token of an answer is never computed, so it needs no room.
    assert_eq!(produced, [1, 64 - 40 + 1]);
    bench.stop().await;
}
