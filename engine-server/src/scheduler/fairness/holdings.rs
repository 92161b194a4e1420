//! How much of the batch or of the KV cache each tenant and class holds, beside what it is entitled to. Pure.

use std::{collections::HashMap, hash::Hash};

use crate::scheduler::fairness::{
    scene::{Line, Place},
    standing::{Class, Standing},
};

/// What is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scarce {
    /// Places in the batch, of which there are so many.
    Places(usize),
    /// Pages of the KV cache, of which there are so many.
    Pages(usize),
}

/// An amount of what is short, and the part of it that one is entitled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) held: usize,
    pub(super) entitled: usize,
}

/// All holdings of one thing.
#[derive(Debug)]
pub(super) struct Holdings<'a, T> {
    total: usize,
    by_tenant: HashMap<&'a T, (Standing, usize)>,
    by_class: HashMap<Class, OfClass>,
}

#[derive(Debug, Default)]
struct OfClass {
    held: usize,
    /// Of its tenants that wait or run.
    weight: u64,
}

impl<'a, T: Eq + Hash> Holdings<'a, T> {
    pub(super) fn of(lines: &[Line<'a, T>], places: &[Place<'a, T>], scarce: Scarce) -> Self {
        let (Scarce::Places(total) | Scarce::Pages(total)) = scarce;
        let mut by_tenant: HashMap<&T, (Standing, usize)> = HashMap::new();
        for Line { tenant, standing } in lines {
            by_tenant.insert(tenant, (*standing, 0));
        }
        for place in places {
            let amount = if matches!(scarce, Scarce::Places(_)) { 1 } else { place.pages };
            by_tenant.entry(place.tenant).or_insert((place.standing, 0)).1 += amount;
        }
        let mut by_class: HashMap<Class, OfClass> = HashMap::new();
        for (standing, held) in by_tenant.values() {
            let class = by_class.entry(standing.class).or_default();
            class.held += held;
            class.weight += u64::from(standing.weight.max(1));
        }
        Self { total, by_tenant, by_class }
    }

    pub(super) fn of_tenant(&self, tenant: &T, standing: Standing) -> Holding {
        let held = self.by_tenant.get(tenant).map_or(0, |(_, held)| *held);
        let weight = self.by_class.get(&standing.class).map_or(1, |class| class.weight);
        Holding { held, entitled: self.part(standing.share(), self.shares() * weight) }
    }

    pub(super) fn of_class(&self, class: Class) -> Holding {
        let held = self.by_class.get(&class).map_or(0, |class| class.held);
        Holding { held, entitled: self.part(u64::from(class.share()), self.shares()) }
    }

    /// Shares of the classes that have tenants here.
    fn shares(&self) -> u64 {
        self.by_class.keys().map(|class| u64::from(class.share())).sum::<u64>().max(1)
    }

    /// At least one: who waits is entitled to something.
    fn part(&self, share: u64, of: u64) -> usize {
        let part = u128::from(share) * self.total as u128 / u128::from(of.max(1));
        usize::try_from(part).unwrap_or(usize::MAX).max(1)
    }
}
