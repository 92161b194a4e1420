//! Which tenant is served next, by what each was given so far. Pure: who waits and who runs goes in, a decision comes
//! out.
//!
//! This is the virtual token counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024), with
//! weights, with classes, and with preemption, which tightens its bound. What is counted is computed work: a prompt
//! token costs [`PREFILL_COST`], a token of an answer [`DECODE_COST`], a guess [`GUESS_COST`] whether it was right or
//! not, and a token that was found in the prefix cache nothing.
//!
//! There are two levels of the same rule. Classes share by [`Class::share`], which is what "Realtime before Standard
//! before Batch" means here: a class takes almost everything from those below it and can never take the rest, so none
//! starves however many tenants the others have. Inside a class tenants share by weight. At each level:
//!
//! 1. A free place in the batch goes to the one that was given least. So does each piece of the prompt tokens of a
//!    step, and each token of an answer when a step cannot take them all.
//! 2. *Claim*: one that waits and holds less than its share of the places (or of the pages, where those are short)
//!    takes a place from one that holds more than its share, unless it is ahead by more than half a
//!    [quantum](Rules::quantum). So who comes into a batch that others have filled is served at once, not after their
//!    answers.
//! 3. *Debt*: one that waits takes a place from one that is ahead of it by more than a quantum.
//!
//! Who gives a place up is the newest sequence of the one that was given most. It keeps what it said, and its pages
//! stay in the prefix cache while nobody needs them. To make up for what it may have to compute again, it gives way
//! only when it has computed [`MIN_RUN_TOKENS`] tokens that it had not computed before, or nothing at all: so each
//! time costs at least that much progress, and a sequence of `n` tokens loses computed work at most
//! `n / MIN_RUN_TOKENS` times.
//!
//! # The bound
//! Let `f` wait without a break from one step to another (for a place only, not because of a limit of its own), and
//! let `W_f` and `W_g` be the cost of what `f` and any `g` of its class were given meanwhile, `w_f` and `w_g` their
//! weights. Then
//!
//! `W_g / w_g - W_f / w_f <= U * (1 / w_f + 1 / w_g)`, with `U` = [`Rules::turn_cost`].
//!
//! Proof. Call the counters `v` and the floor `V`. While `f` is hungry, `v_f` grows by `W_f / w_f` alone, and `v_g`
//! by at least `W_g / w_g`, because a counter that is forgotten was at the floor and comes back at a floor that is
//! not lower. So the left side is at most `(v_g - v_f)` at the end less `(v_g - v_f)` at the beginning.
//!
//! *At the end* `v_g - v_f <= U / w_g`. Consider the last step at whose beginning `v_g <= v_f + Q / w_g`, with `Q`
//! the quantum; if there is none, see below. That step gives `g` at most `S`, the cost of a whole step. From then on
//! rule 3 holds whenever the step's places are given out, and rule 1 gives `g` no free place while `f` waits. So what
//! `g` is still given comes from sequences that may not give way yet: each computes less than [`MIN_RUN_TOKENS`]
//! tokens in small pieces, which is `R` for all places together, and the one of them whose prompt was read in part
//! can be given one more large piece, at most `S`. And `U = Q + 2 S + R`.
//!
//! *At the beginning* `v_f - v_g <= U / w_f`: all counters are at the floor or above it, so `v_g >= V`; `V` is the
//! counter of some `h` that waits, and what was just shown of `g` and `f` holds of `f` and `h`. The same goes for a
//! `g` without such a step: it is no more ahead of `f` than it was of the one that set the floor. Both together are
//! the bound. ∎
//!
//! It assumes that the floor was set by one that waits for a place. Before that, when tenants went short of prompt
//! tokens only and places were free, `f` may have run into a debt with its answers that is larger; what it exceeds
//! `U / w_f` by adds to the right side once.
//!
//! Summed over the `n` tenants of the class, which were given `W` together: `f` is given at least its share
//! `w_f / Σ w` of `W - n U`, less `U`. Since no `U` holds a time, it also bounds every wait, and for classes the same holds
//! with their shares for weights. What a sequence computes again because its pages were needed elsewhere adds to `R`.
//! `tests/scheduler_fairness.rs` checks all this over random arrivals.

use std::hash::Hash;

use realm_engine::engine::PAGE_TOKENS;

use crate::scheduler::budget::Budget;

mod counters;
mod holdings;
mod scene;
mod standing;
mod tally;

use counters::{Counters, Virtual, by_weight};
use holdings::{Holding, Holdings, Scarce};

pub use scene::{Decision, Line, Place, Progress, Scene, Served};
pub use standing::{Class, Standing};
pub use tally::Tally;

/// Cost of a prompt token. It shares the reading of the weights with the whole step.
pub const PREFILL_COST: u64 = 1;
/// Cost of a token of an answer. Twice a prompt's, as in the paper: its row attends to all before it and chooses a token.
pub const DECODE_COST: u64 = 2;
/// Cost of a token that was guessed, right or wrong: a further row beside one that is computed anyway.
pub const GUESS_COST: u64 = 1;
/// Tokens that a sequence computes for the first time before it may have to give its place up: a page, which the prefix cache can keep.
pub const MIN_RUN_TOKENS: usize = PAGE_TOKENS;

/// What the batch allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Sequences in it.
    pub places: usize,
    /// Tokens of a step.
    pub budget: Budget,
}

impl Rules {
    /// How far one may get ahead of another before it has to give way, in cost: the prompt tokens of one step. Less than
    /// that is what the next step makes up for by itself.
    pub fn quantum(self) -> u64 {
        self.budget.tokens as u64 * PREFILL_COST
    }

    /// Cost of one step at most.
    pub fn step_cost(self) -> u64 {
        let decodes = self.places.min(self.budget.tokens) as u64;
        // A step whose budget is used up by answers takes one prompt token more.
        (self.budget.tokens as u64 + 1) * PREFILL_COST + decodes * (DECODE_COST - PREFILL_COST)
    }

    /// The `U` of the bound: how far a tenant can get ahead of its share, in cost.
    pub fn turn_cost(self) -> u64 {
        let run = (self.places * MIN_RUN_TOKENS) as u64 * DECODE_COST;
        self.quantum() + 2 * self.step_cost() + run
    }
}

/// The counters of classes and of the tenants in each.
#[derive(Debug)]
pub struct Fairness<T> {
    rules: Rules,
    classes: Counters<Class>,
    tenants: Vec<(Class, Counters<T>)>,
}

impl<T: Eq + Hash + Clone> Fairness<T> {
    /// Nobody was given anything yet.
    pub fn new(rules: Rules) -> Self {
        let tenants = Class::ALL.into_iter().map(|class| (class, Counters::default())).collect();
        Self { rules, classes: Counters::default(), tenants }
    }

    /// What the batch allows.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// What to do next with the places of the batch. To be asked again until it says [`Decision::Rest`].
    pub fn decide(&self, scene: &Scene<'_, T>) -> Decision {
        let parties = Parties::of(self, scene, Scarce::Places(self.rules.places));
        let mut lines: Vec<usize> = (0..scene.lines.len()).collect();
        lines.sort_by_cached_key(|&line| parties.lines[line].rank(line));
        let Some(&head) = lines.first() else { return Decision::Rest };
        let full = scene.places.len() >= self.rules.places;
        if !full && (scene.fits)(head, 0) {
            return Decision::Begin(head);
        }
        if full && let Some(swap) = self.swap(scene, &parties, &lines) {
            return swap;
        }
        // Nobody else begins in the place of the head, so that what needs much is not overtaken for ever.
        if (scene.fits)(head, 0) {
            return Decision::Rest;
        }
        let parties = Parties::of(self, scene, Scarce::Pages(scene.pages));
        self.victim(scene, &parties, head, |place| place.pages > 0)
            .map_or(Decision::Rest, Decision::Yield)
    }

    /// Notes what a step has computed, and who lacked what others got in it.
    pub fn settle(&mut self, served: &[Served<'_, T>], hungry: &[(&T, Standing)]) {
        for Served { tenant, standing, cost } in served {
            self.classes.charge(&standing.class, *cost, standing.class.share());
            for (class, tenants) in &mut self.tenants {
                if *class == standing.class {
                    tenants.charge(tenant, *cost, standing.weight);
                }
            }
        }
        self.classes.settle(hungry.iter().map(|(_, standing)| &standing.class));
        for (class, tenants) in &mut self.tenants {
            let inside = hungry.iter().filter(|(_, standing)| standing.class == *class);
            tenants.settle(inside.map(|(tenant, _)| *tenant));
        }
    }

    /// The counters of those that are in a step, to split it with.
    pub fn tally<'a>(&self, parties: impl Iterator<Item = (&'a T, Standing)>) -> Tally
    where
        T: 'a,
    {
        let classes = Class::ALL.into_iter().map(|class| (class, self.class_value(class)));
        let value = |(tenant, standing)| (standing, self.value(tenant, standing));
        Tally::new(classes.collect(), parties.map(value).collect())
    }

    /// Tenants that are remembered: those that are ahead of one that waits.
    pub fn remembered(&self) -> usize {
        self.tenants.iter().map(|(_, tenants)| tenants.len()).sum()
    }

    fn class_value(&self, class: Class) -> Virtual {
        self.classes.value(&class)
    }

    fn value(&self, tenant: &T, standing: Standing) -> Virtual {
        let mut tenants = self.tenants.iter().filter(|(class, _)| *class == standing.class);
        tenants.next().map_or(0, |(_, tenants)| tenants.value(tenant))
    }

    /// The line that may take a place, the least served first, and the place.
    fn swap(&self, scene: &Scene<'_, T>, parties: &Parties, lines: &[usize]) -> Option<Decision> {
        lines.iter().find_map(|&line| {
            let place = self.victim(scene, parties, line, |_| true)?;
            let fits = (scene.fits)(line, scene.places[place].pages);
            fits.then_some(Decision::Swap { line, place })
        })
    }

    /// Who gives way to this line: the newest sequence, of those that may, of the tenant that was given most.
    fn victim(
        &self,
        scene: &Scene<'_, T>,
        parties: &Parties,
        line: usize,
        pays: impl Fn(&Place<'_, T>) -> bool,
    ) -> Option<usize> {
        let waiting = &parties.lines[line];
        let candidates = scene.places.iter().zip(&parties.places).enumerate();
        let may = candidates.filter(|(_, (place, party))| {
            scene.lines[line].tenant != place.tenant
                && pays(place)
                && may_give_way(place.progress)
                && waiting.takes_from(party, self.rules.quantum())
        });
        may.max_by_key(|(index, (_, party))| party.rank(*index)).map(|(index, _)| index)
    }
}

/// Whether a sequence may lose its place: not in the round in which it got it, and not with work that does not pay.
fn may_give_way(progress: Progress) -> bool {
    let pays = progress.computed == 0 || progress.gained >= MIN_RUN_TOKENS;
    progress.steps > 0 && pays
}

/// What rules look at, for each line and each place of a scene.
#[derive(Debug)]
struct Parties {
    lines: Vec<Party>,
    places: Vec<Party>,
}

impl Parties {
    fn of<T: Eq + Hash + Clone>(
        fairness: &Fairness<T>,
        scene: &Scene<'_, T>,
        scarce: Scarce,
    ) -> Self {
        let holdings = Holdings::of(scene.lines, scene.places, scarce);
        let party = |tenant: &T, standing: Standing| Party {
            standing,
            tenant: Side {
                value: fairness.value(tenant, standing),
                weight: standing.weight,
                holding: holdings.of_tenant(tenant, standing),
            },
            class: Side {
                value: fairness.class_value(standing.class),
                weight: standing.class.share(),
                holding: holdings.of_class(standing.class),
            },
        };
        Self {
            lines: scene.lines.iter().map(|line| party(line.tenant, line.standing)).collect(),
            places: scene.places.iter().map(|place| party(place.tenant, place.standing)).collect(),
        }
    }
}

/// One that waits or runs.
#[derive(Debug)]
struct Party {
    standing: Standing,
    tenant: Side,
    class: Side,
}

impl Party {
    /// Least served first: the class, the tenant in it, and of equals the one that holds least for its weight and came
    /// first.
    fn rank(&self, index: usize) -> (Virtual, Class, Virtual, Virtual, usize) {
        let held = by_weight(self.tenant.holding.held as u64, self.tenant.weight);
        (self.class.value, self.standing.class, self.tenant.value, held, index)
    }

    /// Whether this one, which waits, takes the place of the other.
    fn takes_from(&self, other: &Self, quantum: u64) -> bool {
        let (one, other) = if self.standing.class == other.standing.class {
            (&self.tenant, &other.tenant)
        } else {
            (&self.class, &other.class)
        };
        one.claims(other, quantum) || other.owes(one, quantum)
    }
}

/// One of two that want a place: tenants of a class, or classes.
#[derive(Debug)]
struct Side {
    value: Virtual,
    weight: u32,
    holding: Holding,
}

impl Side {
    /// Rule 2.
    fn claims(&self, other: &Self, quantum: u64) -> bool {
        self.holding.held < self.holding.entitled
            && other.holding.held > other.holding.entitled
            && self.value <= other.value + by_weight(quantum / 2, self.weight)
    }

    /// Rule 3.
    fn owes(&self, other: &Self, quantum: u64) -> bool {
        self.value > other.value + by_weight(quantum, self.weight)
    }
}
