//! The scheduler's fairness, over random arrivals and without an engine: the same decisions that the scheduler thread asks
//! for, on sequences that are only counts. A checker holds the promises of `scheduler::fairness` against every step; a
//! policy that serves tenants in turn, given to the same checker, is caught.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

#[path = "scheduler_fairness/arrivals.rs"]
mod arrivals;
#[path = "scheduler_fairness/checker.rs"]
mod checker;
#[path = "scheduler_fairness/policy.rs"]
mod policy;
#[path = "scheduler_fairness/world.rs"]
mod world;

use arrivals::{Case, Load};
use checker::Breach;
use policy::{Fair, InTurn, Policy};
use world::World;

/// Seeds of each property.
const SEEDS: u64 = 40;

/// Runs a case to the end of its last sequence.
fn run(case: Case, policy: impl Policy) -> Result<World<impl Policy>, Breach> {
    let mut world = World::new(case, policy);
    world.run()?;
    Ok(world)
}

#[test]
fn nobody_is_served_below_its_share_and_no_room_is_wasted() {
    let mut arrivals = 0;
    let mut closest = 0.0_f64;
    for seed in 0..SEEDS {
        for load in Load::ALL {
            let case = Case::random(seed, load);
            arrivals += case.arrivals.len();
            let fair = Fair::new(case.rules);
            let world =
                run(case, fair).unwrap_or_else(|breach| panic!("seed {seed}, {load:?}: {breach}"));
            closest = closest.max(world.checker.closest);
        }
    }
    assert!(arrivals > 5_000, "{arrivals} arrivals");
    // A bound that nothing comes near would say nothing.
    println!("{arrivals} arrivals; the largest lag was {closest:.3} of the bound");
    assert!(closest > 0.1, "the largest lag was {closest} of the bound");
}

#[test]
fn a_policy_that_serves_in_turn_is_caught() {
    let mut caught = 0;
    for seed in 0..SEEDS {
        let case = Case::random(seed, Load::Flood);
        let in_turn = InTurn::new(case.rules);
        if let Err(breach) = run(case, in_turn) {
            assert!(matches!(breach, Breach::Share { .. } | Breach::Classes { .. }), "{breach}");
            caught += 1;
        }
    }
    assert!(caught > SEEDS / 2, "{caught} of {SEEDS}");
}

#[test]
fn a_policy_that_leaves_places_free_is_caught() {
    let case = Case::random(1, Load::Flood);
    let lazy = policy::Lazy::new(case.rules);
    let breach = run(case, lazy).err().expect("a breach");
    assert!(matches!(breach, Breach::Idle { .. }), "{breach}");
}

#[test]
fn who_comes_into_a_full_batch_begins_within_few_steps() {
    for seed in 0..SEEDS {
        let case = Case::newcomer(seed);
        let fair = Fair::new(case.rules);
        let world = run(case, fair).unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
        let waited = world.begun_after(arrivals::NEWCOMER);
        // The flood's sequences may be in their first page.
        assert!(waited <= 4, "seed {seed}: it waited {waited} steps");
    }
}

#[test]
fn the_same_arrivals_give_the_same_steps() {
    let trace = |seed| {
        let case = Case::random(seed, Load::Mixed);
        let fair = Fair::new(case.rules);
        run(case, fair).unwrap_or_else(|breach| panic!("{breach}")).trace
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}

#[test]
fn tenants_that_left_are_forgotten() {
    let case = Case::passers_by(300);
    let fair = Fair::new(case.rules);
    let world = run(case, fair).unwrap_or_else(|breach| panic!("{breach}"));
    assert!(world.most_remembered < 40, "{} tenants were remembered", world.most_remembered);
    assert_eq!(world.policy.remembered(), 0);
}
