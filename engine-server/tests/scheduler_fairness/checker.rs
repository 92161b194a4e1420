//! The promises, held against each step. Knows who waits and what was computed for whom, and nothing of how it was decided.

use std::collections::BTreeMap;

use realm_engine_server::scheduler::{
    batch::{Candidate, Composition, Need, Share},
    fairness::{Class, Rules, Standing},
};

use crate::arrivals::Case;

/// A promise that was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Breach {
    #[error("{free} places were free while {waiting} tenants waited")]
    Idle { free: usize, waiting: usize },
    #[error("a step has {tokens} prompt tokens where {possible} were possible")]
    Prefill { tokens: usize, possible: usize },
    #[error("{decodes} of {wanted} sequences got their token in a step of {room}")]
    Decode { decodes: usize, wanted: usize, room: usize },
    #[error(
        "while tenant {behind} waited, it got {lag:.2} times the bound less for its weight than tenant {ahead}"
    )]
    Share { behind: u32, ahead: u32, lag: f64 },
    #[error("while {behind:?} waited, it got {lag:.2} times the bound less than {ahead:?}")]
    Classes { behind: Class, ahead: Class, lag: f64 },
    #[error("a sequence lost computed work {losses} times within {reached} tokens")]
    Harassed { losses: usize, reached: usize },
    #[error("a sequence was to give up pages that nobody needed")]
    NoReason,
    #[error("the case does not end")]
    Endless,
}

/// One of a level: the tenants of a class, or the classes.
#[derive(Debug)]
struct Level<K> {
    /// What everybody got so far.
    given: BTreeMap<K, f64>,
    /// Since when each waits: what everybody had got by then.
    waiting: BTreeMap<K, BTreeMap<K, f64>>,
}

/// How far one fell behind another, as a part of the bound.
struct Lag<K> {
    behind: K,
    ahead: K,
    of_bound: f64,
}

impl<K: Ord + Copy> Level<K> {
    fn new() -> Self {
        Self { given: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// Notes what a step gave to whom while these waited, and returns the largest lag.
    fn serve(
        &mut self,
        waiting: &[K],
        costs: impl Iterator<Item = (K, u64)>,
        weight: impl Fn(K) -> f64,
        turn: f64,
    ) -> Option<Lag<K>> {
        self.waiting.retain(|party, _| waiting.contains(party));
        for party in waiting {
            self.waiting.entry(*party).or_insert_with(|| self.given.clone());
        }
        for (party, cost) in costs {
            *self.given.entry(party).or_default() += cost as f64;
        }
        let lags = self.waiting.iter().flat_map(|(behind, since)| {
            let got = |party: &K| {
                let given = |map: &BTreeMap<K, f64>| map.get(party).copied().unwrap_or_default();
                (given(&self.given) - given(since)) / weight(*party)
            };
            let own = got(behind);
            let weight = &weight;
            self.given.keys().filter(move |ahead| *ahead != behind).map(move |ahead| {
                let bound = turn * (1.0 / weight(*behind) + 1.0 / weight(*ahead));
                Lag { behind: *behind, ahead: *ahead, of_bound: (got(ahead) - own) / bound }
            })
        });
        lags.max_by(|one, other| one.of_bound.total_cmp(&other.of_bound))
    }
}

#[derive(Debug)]
pub(crate) struct Checker {
    tenants: Vec<Standing>,
    rules: Rules,
    classes: Level<Class>,
    inside: BTreeMap<Class, Level<u32>>,
    /// The largest lag so far, as a part of the bound.
    pub(crate) closest: f64,
}

impl Checker {
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            tenants: case.tenants.clone(),
            rules: case.rules,
            classes: Level::new(),
            inside: Class::ALL.into_iter().map(|class| (class, Level::new())).collect(),
            closest: 0.0,
        }
    }

    /// Nobody falls behind its share.
    pub(crate) fn serve(&mut self, waiting: &[u32], costs: &[(u32, u64)]) -> Result<(), Breach> {
        let turn = self.rules.turn_cost() as f64;
        let tenants = &self.tenants;
        let class = |tenant: u32| tenants[tenant as usize].class;
        let mut classes: Vec<Class> = waiting.iter().map(|tenant| class(*tenant)).collect();
        classes.sort_unstable();
        classes.dedup();
        let of_classes = costs.iter().map(|(tenant, cost)| (class(*tenant), *cost));
        let lag = self.classes.serve(&classes, of_classes, |class| f64::from(class.share()), turn);
        if let Some(Lag { behind, ahead, of_bound: lag }) = lag {
            self.closest = self.closest.max(lag);
            if lag > 1.0 {
                return Err(Breach::Classes { behind, ahead, lag });
            }
        }
        for (inside, level) in &mut self.inside {
            let waiting: Vec<u32> =
                waiting.iter().copied().filter(|tenant| class(*tenant) == *inside).collect();
            let costs = costs.iter().copied().filter(|(tenant, _)| class(*tenant) == *inside);
            let weight = |tenant: u32| f64::from(tenants[tenant as usize].weight);
            if let Some(Lag { behind, ahead, of_bound: lag }) =
                level.serve(&waiting, costs, weight, turn)
            {
                self.closest = self.closest.max(lag);
                if lag > 1.0 {
                    return Err(Breach::Share { behind, ahead, lag });
                }
            }
        }
        Ok(())
    }
}

/// Nothing that could be computed is left out of a step.
pub(crate) fn check_step(
    rules: &Rules,
    candidates: &[Candidate<'_, u32>],
    step: &Composition,
    waiting: &[u32],
) -> Result<(), Breach> {
    let free = rules.places - candidates.len();
    if free > 0 && !waiting.is_empty() {
        return Err(Breach::Idle { free, waiting: waiting.len() });
    }
    let decodes = |candidate: &Candidate<'_, u32>| candidate.need == Need::Decode;
    let wanted = candidates.iter().filter(|candidate| decodes(candidate)).count();
    let in_step = |share: &&Share| decodes(&candidates[share.index]);
    let got = step.shares.iter().filter(in_step).count();
    let room = rules.budget.tokens;
    if got != wanted.min(room) {
        return Err(Breach::Decode { decodes: got, wanted, room });
    }
    let demand: usize = candidates
        .iter()
        .map(|candidate| match candidate.need {
            Need::Prefill(left) => left,
            Need::Decode => 0,
        })
        .sum();
    let all: usize = step.shares.iter().map(|share| share.tokens).sum();
    let possible = demand.min(rules.budget.prefill(got));
    if all - got != possible {
        return Err(Breach::Prefill { tokens: all - got, possible });
    }
    Ok(())
}
