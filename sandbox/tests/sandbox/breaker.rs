//! The circuit breaker and the minute's budget, with a clock that the test moves.

use std::{sync::Arc, time::Duration};

use realm_sandbox::{
    BreachKind,
    breaker::{Breaker, COOL_DOWN, FAULTS, Health, WINDOW},
    budget::MinuteBudget,
};

use crate::{
    guests::{Guest, plain},
    support::{ManualClock, Tenant, ask, open, terms},
};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_breaker_opens_tries_and_closes() {
    let mut breaker = Breaker::default();
    for fault in 1..FAULTS {
        assert!(!breaker.failed(seconds(fault as u64)));
    }
    assert!(breaker.admit(seconds(5)));
    assert!(breaker.failed(seconds(5)), "the last fault stops the program");
    assert!(!breaker.admit(seconds(6)));
    let later = seconds(5) + COOL_DOWN;
    assert!(breaker.admit(later), "one request tries");
    assert!(!breaker.admit(later), "and only one");
    assert_eq!(breaker.health(), Health::Probing);
    breaker.succeeded();
    assert_eq!(breaker.health(), Health::Healthy);
    assert!(breaker.admit(later));
}

#[test]
fn a_try_that_fails_stops_the_program_again() {
    let mut breaker = Breaker::default();
    assert!((0..FAULTS).any(|_| breaker.failed(seconds(0))));
    assert!(breaker.admit(COOL_DOWN));
    assert!(breaker.failed(COOL_DOWN));
    assert!(!breaker.admit(COOL_DOWN + seconds(1)));
    assert!(breaker.admit(COOL_DOWN * 2));
    assert!(
        breaker.admit(COOL_DOWN * 3),
        "a try that never says how it went does not stop it for ever"
    );
}

#[test]
fn old_faults_do_not_count() {
    let mut breaker = Breaker::default();
    for fault in 0..10 {
        assert!(!breaker.failed(WINDOW / 2 * fault), "fault {fault}");
    }
}

#[test]
fn a_budget_refills_evenly_and_its_debt_is_paid() {
    let mut budget = MinuteBudget::new(seconds(6), seconds(0));
    budget.spend(seconds(0), seconds(6));
    assert!(!budget.admits(seconds(0)));
    assert!(budget.admits(seconds(1)));
    budget.spend(seconds(1), Duration::from_millis(1100));
    assert!(!budget.admits(seconds(2)), "a second earns 100 ms, and a whole second is owed");
    assert!(!budget.admits(seconds(10)));
    assert!(budget.admits(seconds(12)));
    budget.spend(seconds(1000), seconds(6));
    assert!(!budget.admits(seconds(1000)), "a bucket holds no more than a minute");
}

#[test]
fn a_program_that_traps_again_and_again_is_stopped_and_tried_later() {
    let clock = Arc::new(ManualClock::default());
    let tenant = Tenant::at(clock.clone());
    let program = tenant.load(&Guest::request("(unreachable)"), terms()).unwrap();
    for _ in 0..FAULTS {
        assert_eq!(ask(&program).unwrap_err().kind, BreachKind::Trap);
    }
    assert_eq!(ask(&program).unwrap_err().kind, BreachKind::Suspended);
    assert_eq!(program.counters().suspensions, 1);
    clock.advance(COOL_DOWN);
    assert_eq!(ask(&program).unwrap_err().kind, BreachKind::Trap, "it is tried");
    assert_eq!(ask(&program).unwrap_err().kind, BreachKind::Suspended);
}

#[test]
fn a_stopped_program_with_an_open_policy_is_left_out() {
    let tenant = Tenant::at(Arc::new(ManualClock::default()));
    let program = tenant.load(&Guest::request("(unreachable)"), open(terms())).unwrap();
    for _ in 0..FAULTS + 2 {
        assert!(ask(&program).unwrap().unwrap().is_native());
    }
    assert_eq!(program.health(), Health::Suspended);
    assert_eq!(program.counters().skipped, FAULTS as u64 + 2);
}

#[test]
fn a_program_that_works_stays_healthy() {
    let tenant = Tenant::at(Arc::new(ManualClock::default()));
    let program = tenant.load(&Guest::request(&plain()), terms()).unwrap();
    for _ in 0..20 {
        ask(&program).unwrap().unwrap();
    }
    assert_eq!(program.health(), Health::Healthy);
    assert_eq!(program.counters().breaches_total(), 0);
}
