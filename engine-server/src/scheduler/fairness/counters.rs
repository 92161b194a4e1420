//! Virtual token counters: what each of several parties was given, by weight. Pure.
//!
//! A party is *hungry* while it lacks something that another party got. The floor is what the hungry party that was
//! given least has; it never falls while anyone is hungry. A party without a counter of its own stands at the floor,
//! and a counter that the floor has reached is forgotten. So there are three kinds of parties: those that are hungry,
//! those that were given more than the floor and keep that debt until the floor has passed it, and all others, which
//! need no memory: however long one of them was away, it comes back at the floor, with no credit for the time.

use std::{collections::HashMap, hash::Hash};

/// Cost by weight.
pub(super) type Virtual = u128;

/// Fraction bits of a [`Virtual`]: the error of a division is at most this part of a token.
const SCALE: Virtual = 1 << 32;

/// A cost by weight, rounded up; a weight of 0 counts as 1.
pub(super) fn by_weight(cost: u64, weight: u32) -> Virtual {
    (Virtual::from(cost) * SCALE).div_ceil(Virtual::from(weight.max(1)))
}

/// The counters of all parties.
#[derive(Debug, Clone)]
pub(super) struct Counters<K> {
    above: HashMap<K, Virtual>,
    floor: Virtual,
}

impl<K> Default for Counters<K> {
    fn default() -> Self {
        Self { above: HashMap::new(), floor: 0 }
    }
}

impl<K: Eq + Hash + Clone> Counters<K> {
    /// What the party was given, by weight.
    pub(super) fn value(&self, party: &K) -> Virtual {
        self.above.get(party).copied().unwrap_or(self.floor)
    }

    /// Notes that a party was given something.
    pub(super) fn charge(&mut self, party: &K, cost: u64, weight: u32) {
        let cost = by_weight(cost, weight);
        match self.above.get_mut(party) {
            Some(value) => *value += cost,
            None => drop(self.above.insert(party.clone(), self.floor + cost)),
        }
    }

    /// Moves the floor. When nobody is hungry everybody got what it wanted: nobody owes anything, and all begin anew.
    pub(super) fn settle<'k>(&mut self, hungry: impl Iterator<Item = &'k K>)
    where
        K: 'k,
    {
        match hungry.map(|party| self.value(party)).min() {
            None => *self = Self::default(),
            Some(least) => {
                self.floor = self.floor.max(least);
                let floor = self.floor;
                self.above.retain(|_, value| *value > floor);
            }
        }
    }

    /// Parties that have a counter of their own.
    pub(super) fn len(&self) -> usize {
        self.above.len()
    }
}
