//! The scheduler thread's loop over sequences that are only counts. What a sequence has computed stays in the prefix
//! cache in whole pages when it loses its place.

use std::collections::{BTreeMap, VecDeque};

use realm_engine::engine::PAGE_TOKENS;
use realm_engine_server::scheduler::{
    batch::{Candidate, Composition, Need},
    fairness::{
        DECODE_COST, Decision, Line, MIN_RUN_TOKENS, PREFILL_COST, Place, Progress, Scene, Served,
        Standing,
    },
};

use crate::{
    arrivals::{Arrival, Case},
    checker::{Breach, Checker, check_step},
    policy::Policy,
};

/// Steps after which a case does not end any more.
const MAX_STEPS: usize = 200_000;

#[derive(Debug, Clone)]
struct Sequence {
    tenant: u32,
    prompt: usize,
    output: usize,
    arrived: usize,
    began: Option<usize>,
    /// Tokens in the KV cache.
    computed: usize,
    produced: usize,
    /// The most that was ever computed.
    reached: usize,
    progress: Progress,
    /// How often it lost computed work.
    losses: usize,
}

impl Sequence {
    fn new(arrival: Arrival) -> Self {
        Self {
            tenant: arrival.tenant,
            prompt: arrival.prompt,
            output: arrival.output,
            arrived: arrival.step,
            began: None,
            computed: 0,
            produced: 0,
            reached: 0,
            progress: Progress::default(),
            losses: 0,
        }
    }

    fn need(&self) -> Need {
        match self.prompt + self.produced - self.computed {
            1 if self.produced > 0 => Need::Decode,
            left => Need::Prefill(left),
        }
    }

    /// Computes tokens and says the next one after the last. Returns the cost.
    fn advance(&mut self, tokens: usize) -> u64 {
        let cost = match self.need() {
            Need::Decode => DECODE_COST,
            Need::Prefill(_) => tokens as u64 * PREFILL_COST,
        };
        self.computed += tokens;
        if self.computed == self.prompt + self.produced {
            self.produced += 1;
        }
        let gained = self.computed.saturating_sub(self.reached);
        self.reached += gained;
        self.progress.note(tokens, gained);
        cost
    }

    fn lose_place(&mut self) {
        self.losses += usize::from(self.progress.computed > 0);
        self.computed -= self.computed % PAGE_TOKENS;
        self.progress = Progress::default();
    }
}

pub(crate) struct World<P> {
    case: Case,
    pub(crate) policy: P,
    pub(crate) checker: Checker,
    lines: BTreeMap<u32, VecDeque<Sequence>>,
    /// Tenants with a line, in the order in which they came.
    order: Vec<u32>,
    running: Vec<Sequence>,
    /// Steps that the first sequence of each tenant waited.
    first_waits: BTreeMap<u32, usize>,
    step: usize,
    next: usize,
    pub(crate) trace: Vec<(u32, usize)>,
    pub(crate) most_remembered: usize,
}

impl<P: Policy> World<P> {
    pub(crate) fn new(case: Case, policy: P) -> Self {
        let checker = Checker::new(&case);
        Self {
            case,
            policy,
            checker,
            lines: BTreeMap::new(),
            order: Vec::new(),
            running: Vec::new(),
            first_waits: BTreeMap::new(),
            step: 0,
            next: 0,
            trace: Vec::new(),
            most_remembered: 0,
        }
    }

    /// Steps until all have said everything.
    pub(crate) fn run(&mut self) -> Result<(), Breach> {
        while self.next < self.case.arrivals.len()
            || !self.running.is_empty()
            || !self.order.is_empty()
        {
            self.arrive();
            while self.act()? {}
            self.compute()?;
            self.most_remembered = self.most_remembered.max(self.policy.remembered());
            self.step += 1;
            if self.step > MAX_STEPS {
                return Err(Breach::Endless);
            }
        }
        Ok(())
    }

    /// Steps that the tenant's first sequence waited.
    pub(crate) fn begun_after(&self, tenant: u32) -> usize {
        self.first_waits[&tenant]
    }

    fn standing(&self, tenant: u32) -> Standing {
        self.case.tenants[tenant as usize]
    }

    fn arrive(&mut self) {
        while let Some(arrival) = self.case.arrivals.get(self.next) {
            if arrival.step > self.step {
                return;
            }
            self.push(Sequence::new(*arrival), false);
            self.next += 1;
        }
    }

    fn push(&mut self, sequence: Sequence, front: bool) {
        let tenant = sequence.tenant;
        if !self.order.contains(&tenant) {
            self.order.push(tenant);
        }
        let line = self.lines.entry(tenant).or_default();
        if front { line.push_front(sequence) } else { line.push_back(sequence) }
    }

    /// Does what the policy decides; `false` when it decides on nothing.
    fn act(&mut self) -> Result<bool, Breach> {
        let line = |tenant| Line { tenant, standing: self.standing(*tenant) };
        let lines: Vec<Line<'_, u32>> = self.order.iter().map(line).collect();
        let running = self.running.iter();
        let places: Vec<Place<'_, u32>> = running
            .map(|sequence| Place {
                tenant: &sequence.tenant,
                standing: self.standing(sequence.tenant),
                pages: 0,
                progress: sequence.progress,
            })
            .collect();
        let scene = Scene { lines: &lines, places: &places, pages: 0, fits: &|_, _| true };
        let decision = self.policy.decide(&scene);
        match decision {
            Decision::Begin(line) => self.begin(line),
            Decision::Swap { line, place } => {
                let tenant = self.order[line];
                self.lose_place(place)?;
                let line = self.order.iter().position(|other| *other == tenant);
                self.begin(line.expect("the line is still there"));
            }
            Decision::Yield(_) => return Err(Breach::NoReason),
            Decision::Rest => return Ok(false),
        }
        Ok(true)
    }

    fn begin(&mut self, line: usize) {
        let tenant = self.order[line];
        let waiting = self.lines.get_mut(&tenant).expect("a line");
        let mut sequence = waiting.pop_front().expect("a sequence");
        if waiting.is_empty() {
            self.lines.remove(&tenant);
            self.order.remove(line);
        }
        if sequence.began.is_none() {
            sequence.began = Some(self.step);
            self.first_waits.entry(tenant).or_insert(self.step - sequence.arrived);
        }
        self.running.push(sequence);
    }

    fn lose_place(&mut self, place: usize) -> Result<(), Breach> {
        let mut sequence = self.running.remove(place);
        sequence.lose_place();
        if sequence.losses > sequence.reached / MIN_RUN_TOKENS {
            return Err(Breach::Harassed { losses: sequence.losses, reached: sequence.reached });
        }
        self.push(sequence, true);
        Ok(())
    }

    fn compute(&mut self) -> Result<(), Breach> {
        let tenants: Vec<u32> = self.running.iter().map(|sequence| sequence.tenant).collect();
        let candidates: Vec<Candidate<'_, u32>> = self
            .running
            .iter()
            .zip(&tenants)
            .map(|(sequence, tenant)| Candidate {
                tenant,
                standing: self.standing(*tenant),
                need: sequence.need(),
            })
            .collect();
        let step = self.policy.compose(&candidates);
        let waiting = self.order.clone();
        check_step(&self.case.rules, &candidates, &step, &waiting)?;
        let costs = self.advance(&step);
        self.checker.serve(&waiting, &costs)?;
        let served: Vec<Served<'_, u32>> = costs
            .iter()
            .map(|(tenant, cost)| Served { tenant, standing: self.standing(*tenant), cost: *cost })
            .collect();
        let beside = step.hungry.iter().map(|&at| &tenants[at]);
        let hungry: Vec<_> =
            waiting.iter().chain(beside).map(|tenant| (tenant, self.standing(*tenant))).collect();
        self.policy.settle(&served, &hungry);
        Ok(())
    }

    fn advance(&mut self, step: &Composition) -> Vec<(u32, u64)> {
        let mut costs = Vec::new();
        let mut tokens = vec![0; self.running.len()];
        for share in &step.shares {
            tokens[share.index] = share.tokens;
        }
        for (sequence, tokens) in self.running.iter_mut().zip(tokens) {
            if tokens == 0 {
                sequence.progress.note(0, 0);
                continue;
            }
            costs.push((sequence.tenant, sequence.advance(tokens)));
            self.trace.push((sequence.tenant, tokens));
        }
        self.running.retain(|sequence| sequence.produced < sequence.output);
        costs
    }
}
