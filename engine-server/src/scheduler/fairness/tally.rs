//! Splits one step: who is served least, with what this step gave them so far counted in. Pure.

use std::collections::HashMap;

use crate::scheduler::fairness::{
    counters::{Virtual, by_weight},
    standing::{Class, Standing},
};

/// A copy of the counters of those that are in a step.
#[derive(Debug)]
pub struct Tally {
    classes: HashMap<Class, Virtual>,
    parties: Vec<(Standing, Virtual)>,
}

impl Tally {
    pub(super) fn new(classes: HashMap<Class, Virtual>, parties: Vec<(Standing, Virtual)>) -> Self {
        Self { classes, parties }
    }

    /// Counts what a party is given.
    pub fn charge(&mut self, party: usize, cost: u64) {
        let Some((standing, value)) = self.parties.get_mut(party) else { return };
        *value += by_weight(cost, standing.weight);
        let class = self.classes.entry(standing.class).or_default();
        *class += by_weight(cost, standing.class.share());
    }

    /// Which of these parties was given least; the earlier one of equals.
    pub fn least(&self, parties: impl Iterator<Item = usize>) -> Option<usize> {
        parties.min_by_key(|&party| {
            let (standing, value) = self.parties[party];
            let class = self.classes.get(&standing.class).copied().unwrap_or_default();
            (class, standing.class, value, party)
        })
    }
}
