//! Policies that the world can ask: the scheduler's own, and two that break its promises.

use realm_engine_server::scheduler::{
    batch::{Candidate, Composition, Need, Share, compose},
    fairness::{Decision, Fairness, Rules, Scene, Served, Standing},
};

pub(crate) trait Policy {
    fn decide(&mut self, scene: &Scene<'_, u32>) -> Decision;
    fn compose(&mut self, candidates: &[Candidate<'_, u32>]) -> Composition;
    fn settle(&mut self, _served: &[Served<'_, u32>], _hungry: &[(&u32, Standing)]) {}
    fn remembered(&self) -> usize {
        0
    }
}

/// The scheduler's.
pub(crate) struct Fair(Fairness<u32>);

impl Fair {
    pub(crate) fn new(rules: Rules) -> Self {
        Self(Fairness::new(rules))
    }
}

impl Policy for Fair {
    fn decide(&mut self, scene: &Scene<'_, u32>) -> Decision {
        self.0.decide(scene)
    }

    fn compose(&mut self, candidates: &[Candidate<'_, u32>]) -> Composition {
        compose(candidates, &self.0)
    }

    fn settle(&mut self, served: &[Served<'_, u32>], hungry: &[(&u32, Standing)]) {
        self.0.settle(served, hungry);
    }

    fn remembered(&self) -> usize {
        self.0.remembered()
    }
}

/// What the scheduler did before: tenants begin in turn, whatever they were given; prompt tokens are split evenly; nobody
/// loses a place.
pub(crate) struct InTurn {
    rules: Rules,
    last: u32,
    even: Fairness<u32>,
}

impl InTurn {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, last: u32::MAX, even: Fairness::new(rules) }
    }
}

impl Policy for InTurn {
    fn decide(&mut self, scene: &Scene<'_, u32>) -> Decision {
        if scene.places.len() >= self.rules.places || scene.lines.is_empty() {
            return Decision::Rest;
        }
        let lines = 0..scene.lines.len();
        let next = lines.min_by_key(|&line| {
            let tenant = *scene.lines[line].tenant;
            tenant.wrapping_sub(self.last.wrapping_add(1))
        });
        let line = next.expect("a line");
        self.last = *scene.lines[line].tenant;
        Decision::Begin(line)
    }

    /// Of counters that were never charged: evenly.
    fn compose(&mut self, candidates: &[Candidate<'_, u32>]) -> Composition {
        compose(candidates, &self.even)
    }
}

/// Runs one sequence at a time.
pub(crate) struct Lazy(Rules);

impl Lazy {
    pub(crate) fn new(rules: Rules) -> Self {
        Self(rules)
    }
}

impl Policy for Lazy {
    fn decide(&mut self, scene: &Scene<'_, u32>) -> Decision {
        if scene.places.is_empty() && !scene.lines.is_empty() {
            Decision::Begin(0)
        } else {
            Decision::Rest
        }
    }

    fn compose(&mut self, candidates: &[Candidate<'_, u32>]) -> Composition {
        let tokens = |candidate: &Candidate<'_, u32>| match candidate.need {
            Need::Decode => 1,
            Need::Prefill(left) => left.min(self.0.budget.prefill(0)),
        };
        let shares = candidates.iter().enumerate();
        let shares = shares.map(|(index, candidate)| Share { index, tokens: tokens(candidate) });
        Composition { shares: shares.collect(), hungry: vec![] }
    }
}
