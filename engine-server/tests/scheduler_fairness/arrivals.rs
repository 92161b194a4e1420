//! Random cases from a seed: tenants, and what they ask for when.

use realm_engine_server::scheduler::{
    budget::Budget,
    fairness::{Class, Rules, Standing},
};

/// The tenant of [`Case::newcomer`] that comes late.
pub(crate) const NEWCOMER: u32 = 1;
/// A step at which it comes.
const NEWCOMER_STEP: usize = 40;

/// One sequence that is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) step: usize,
    pub(crate) tenant: u32,
    pub(crate) prompt: usize,
    pub(crate) output: usize,
}

/// How tenants load the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// All ask for more than there is, from the beginning.
    Flood,
    /// Some flood, others send a request now and then.
    Mixed,
    /// Bursts with quiet times between them.
    Bursts,
}

impl Load {
    pub(crate) const ALL: [Self; 3] = [Self::Flood, Self::Mixed, Self::Bursts];
}

/// Tenants, what the batch allows, and what comes.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) rules: Rules,
    pub(crate) tenants: Vec<Standing>,
    /// By step.
    pub(crate) arrivals: Vec<Arrival>,
}

impl Case {
    pub(crate) fn random(seed: u64, load: Load) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66);
        let tenants: Vec<Standing> =
            (0..random.between(2, 6)).map(|_| standing(&mut random)).collect();
        let mut arrivals = Vec::new();
        for tenant in 0..tenants.len() as u32 {
            let steady = match load {
                Load::Flood => true,
                Load::Mixed => random.between(0, 2) == 0,
                Load::Bursts => false,
            };
            let (count, gap) = match (steady, load) {
                (true, _) => (random.between(6, 24), 0),
                (false, Load::Bursts) => (random.between(4, 16), 600),
                (false, _) => (random.between(2, 8), 60),
            };
            let (long, wordy) = (random.between(8, 400), random.between(4, 160));
            let mut step = 0;
            for at in 0..count {
                // A burst is four at once.
                let pause = gap > 0 && (!matches!(load, Load::Bursts) || at % 4 == 0);
                step += if pause { random.between(0, gap) } else { 0 };
                let (prompt, output) = (random.between(1, long), random.between(1, wordy));
                arrivals.push(Arrival { step, tenant, prompt, output });
            }
        }
        arrivals.sort_by_key(|arrival| arrival.step);
        Self { rules: rules(&mut random), tenants, arrivals }
    }

    /// One tenant has filled the batch and its line; another comes with one request.
    pub(crate) fn newcomer(seed: u64) -> Self {
        let mut random = Random(seed ^ 0xABCD_EF12);
        let mut rules = rules(&mut random);
        rules.places = random.between(2, 16);
        let equal = Standing { class: Class::Standard, weight: 100 };
        let flood = |_| Arrival { step: 0, tenant: 0, prompt: 40, output: 150 };
        let mut arrivals: Vec<Arrival> = (0..50).map(flood).collect();
        arrivals.push(Arrival { step: NEWCOMER_STEP, tenant: NEWCOMER, prompt: 40, output: 20 });
        Self { rules, tenants: vec![equal; 2], arrivals }
    }

    /// Beside one that always has work, so many tenants come with one request each and never again.
    pub(crate) fn passers_by(count: u32) -> Self {
        let budget = Budget { tokens: 64, prefill_beside_decode: 32 };
        let equal = Standing { class: Class::Standard, weight: 100 };
        let flood = |_| Arrival { step: 0, tenant: 0, prompt: 30, output: 60 };
        let mut arrivals: Vec<Arrival> = (0..400).map(flood).collect();
        arrivals.extend((1..=count).map(|tenant| Arrival {
            step: 6 * tenant as usize,
            tenant,
            prompt: 20,
            output: 5,
        }));
        arrivals.sort_by_key(|arrival| arrival.step);
        Self {
            rules: Rules { places: 8, budget },
            tenants: vec![equal; count as usize + 1],
            arrivals,
        }
    }
}

fn standing(random: &mut Random) -> Standing {
    let weights = [1, 20, 100, 100, 100, 300, 1000];
    Standing {
        class: Class::ALL[random.between(0, 2)],
        weight: weights[random.between(0, weights.len() - 1)],
    }
}

fn rules(random: &mut Random) -> Rules {
    let tokens = [8, 32, 64, 256][random.between(0, 3)];
    let budget = Budget { tokens, prefill_beside_decode: random.between(1, tokens) };
    Rules { places: random.between(1, 12), budget }
}

/// A small generator, the same everywhere (xorshift*).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn between(&mut self, least: usize, most: usize) -> usize {
        self.0 |= 1;
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        least + drawn as usize % (most - least + 1)
    }
}
