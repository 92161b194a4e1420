//! The scheduler thread's loop: take what waits, compose a step, run it, hand out what it gave.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use realm_engine::{
    engine::{EngineError, LogitsWanted, Model, PAGE_TOKENS, PrefixSalt, SequenceId, StepItem},
    speculation::Verified,
};

use crate::{
    metrics::{Component, Metrics, ModelLabels, Phase, PhaseLabels, TenantLabels, observe_seconds},
    scheduler::{
        batch::{Candidate, Composition, Need, Share, compose},
        budget::Budget,
        event::Failure,
        fairness::{
            DECODE_COST, Decision, Fairness, GUESS_COST, Line, PREFILL_COST, Place, Progress,
            Rules, Scene, Served, Standing,
        },
        meter::Meter,
        room::{
            Holding, Reading, Taking, awaits, fits, fits_budget, gives_way, guessable, over_budget,
        },
        scoring::rows_each,
        seam::{EngineFactory, StepEngine},
        sequence::Sequence,
        speculation::{Decoding, Draft, Narrow, Speculator},
        terms::Terms,
        work::{Activity, Inbox, Order, Waiting},
    },
    tenant::TenantId,
};

/// Panics inside steps after which the engine is made anew; one more ends the scheduler.
pub const MAX_ENGINE_REBUILDS: usize = 3;

/// Part of a step's time that the next one waits for programs that have a say in tokens.
const PATIENCE_PART: u32 = 32;
/// The least such time: a thread needs that long to wake.
const LEAST_PATIENCE: Duration = Duration::from_micros(100);
/// The most.
const MOST_PATIENCE: Duration = Duration::from_millis(1);

/// What a runner is made of.
pub(super) struct RunnerParts {
    pub(super) parallel: usize,
    pub(super) budget: Budget,
    pub(super) max_draft_tokens: usize,
    pub(super) model_label: String,
    pub(super) model: Arc<Model>,
    pub(super) engine: Box<dyn StepEngine>,
    pub(super) factory: EngineFactory,
    pub(super) inbox: Arc<Inbox>,
    pub(super) metrics: Metrics,
}

pub(super) struct Runner {
    pub(super) parts: RunnerParts,
    pub(super) running: Vec<Running>,
    pub(super) fairness: Fairness<TenantId>,
    /// Tenants that wait for a place or for pages since the last time they were looked at.
    pub(super) hungry: Vec<(TenantId, Standing)>,
    rebuilds: usize,
    /// Whose bytes in the KV cache were not 0 when they were last observed.
    holders: Vec<TenantLabels>,
    pub(super) meter: Meter,
    speculator: Speculator,
    /// Sequences so far; their numbers name them to the draft model.
    begun: u64,
    /// Nothing has changed for those that wait since they were looked at.
    pub(super) rested: bool,
    /// How long the next step waits for programs.
    patience: Duration,
}

/// A sequence that has a place in the batch.
pub(super) struct Running {
    id: SequenceId,
    /// Its number, which no other sequence has.
    key: u64,
    sequence: Sequence,
    pub(super) tenant: TenantId,
    labels: TenantLabels,
    pub(super) terms: Terms,
    progress: Progress,
    /// The most tokens that were ever in the KV cache for it.
    reached: usize,
}

impl Running {
    /// Tokens of its prompt and of its answer so far.
    fn known(&self) -> usize {
        self.sequence.tokens().len()
    }

    /// Notes a step in which so many tokens were computed for it.
    fn note(&mut self, computed: usize) {
        let gained = self.sequence.computed().saturating_sub(self.reached);
        self.reached += gained;
        self.progress.note(computed, gained);
    }

    /// The prompt that it is reading, if it is.
    fn reading(&self) -> Option<Reading<'_, &TenantId>> {
        matches!(self.sequence.need(), Need::Prefill(_)).then(|| Reading {
            tenant: &self.tenant,
            tokens: self.sequence.tokens(),
            computed: self.sequence.computed(),
        })
    }
}

/// What a step chose for a sequence.
struct Outcome {
    /// Its place among those that run.
    index: usize,
    /// Tokens that it held before the step.
    held: usize,
    /// Tokens that were guessed for it.
    guessed: usize,
    verified: Verified,
}

/// What to do before the next step.
enum Admission {
    Begin(TenantId),
    Swap(TenantId, usize),
    Yield(usize),
    /// Nothing, and these wait for room.
    Rest(Vec<(TenantId, Standing)>),
}

/// Why a sequence loses its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause {
    /// For a tenant below its share.
    Share,
    /// No pages are left.
    Pages,
    /// No pages of its tenant's budget are left.
    Budget,
}

/// The thread must end.
pub(super) struct Broken;

impl Runner {
    pub(super) fn new(parts: RunnerParts) -> Self {
        let speculator = Speculator::new(parts.max_draft_tokens);
        let rules = Rules { places: parts.parallel, budget: parts.budget };
        Self {
            parts,
            running: Vec::new(),
            fairness: Fairness::new(rules),
            hungry: Vec::new(),
            rebuilds: 0,
            holders: Vec::new(),
            meter: Meter::default(),
            speculator,
            begun: 0,
            rested: false,
            patience: LEAST_PATIENCE,
        }
    }

    /// Runs until it is told to stop or the engine fails too often.
    pub(super) fn run(mut self) {
        while self.parts.inbox.await_order(self.activity()) == Order::Work {
            if self.guarded_answers().is_err() {
                break;
            }
            self.drop_abandoned();
            self.keep_budgets();
            self.admit();
            if self.embed().is_err() || (self.can_step() && self.guarded_step().is_err()) {
                break;
            }
        }
    }

    fn activity(&self) -> Activity {
        let answered = || self.running.iter().any(|running| running.sequence.has_answer());
        if self.running.is_empty() {
            Activity::Idle
        } else if self.can_step() || !self.rested || answered() {
            Activity::Busy
        } else {
            Activity::Asking
        }
    }

    /// Whether there is a sequence that need not wait for its program.
    fn can_step(&self) -> bool {
        self.running.iter().any(|running| !running.sequence.is_asking())
    }

    /// Choosing from a row that a program was asked about is part of a step, also of what goes wrong in it.
    fn guarded_answers(&mut self) -> Result<(), Broken> {
        let answers = catch_unwind(AssertUnwindSafe(|| self.take_answers()));
        answers.or_else(|panic| self.panicked(panic.as_ref()))
    }

    /// Goes on with the sequences whose programs have answered.
    fn take_answers(&mut self) {
        self.await_quick_answers();
        let context = self.parts.engine.context_length();
        for index in (0..self.running.len()).rev() {
            let running = &mut self.running[index];
            if !running.sequence.is_asking() {
                continue;
            }
            let room = running.terms.context(context).saturating_sub(running.known());
            let tokenizer = self.parts.model.tokenizer();
            if running.sequence.take_answer(tokenizer, room) == Some(true) {
                drop(self.release(index));
            }
        }
    }

    /// Waits for programs that were quick the last time, as long as that is little against a step, so that their
    /// sequences are in the next one with all others. Who is slow waits alone.
    fn await_quick_answers(&self) {
        let asks = |running: &Running| running.sequence.is_asking_a_quick_one(self.patience);
        let until = Instant::now() + self.patience;
        while self.running.iter().any(asks) && self.parts.inbox.await_change(until) {}
    }

    fn drop_abandoned(&mut self) {
        for index in (0..self.running.len()).rev() {
            if self.running[index].sequence.is_abandoned() {
                drop(self.release(index));
            }
        }
    }

    /// Keeps each tenant within its part of the KV cache: its newest sequence gives way to its older ones.
    fn keep_budgets(&mut self) {
        // From the newest to the oldest, so that each looks at those of its tenant that stay.
        for index in (0..self.running.len()).rev() {
            let Running { tenant, terms, .. } = &self.running[index];
            let Some(kv) = terms.kv else { continue };
            let older = self.running[..=index].iter().filter(|running| running.tenant == *tenant);
            let known: Vec<usize> = older.map(Running::known).collect();
            if over_budget(&known, kv.pages) {
                self.preempt(index, Cause::Budget);
            }
        }
    }

    /// Whether its tenant's own budget lets a sequence begin.
    fn in_budget(&self, waiting: &Waiting) -> bool {
        let own = self.running.iter().filter(|running| running.tenant == waiting.tenant);
        let known: Vec<usize> = own.map(Running::known).collect();
        let next = waiting.sequence.tokens().len();
        waiting.terms.kv.is_none_or(|kv| fits_budget(known.into_iter(), next, kv.pages))
    }

    /// Gives the places of the batch out, until nobody can begin any more.
    fn admit(&mut self) {
        for waiting in &self.parts.inbox.take_abandoned() {
            self.parts.metrics.queue_depth.get_or_create(&waiting.labels).dec();
        }
        loop {
            let step = self.parts.inbox.with_heads(|heads| self.decide(heads));
            match step {
                Admission::Begin(tenant) => self.begin_next(&tenant),
                Admission::Swap(tenant, place) => {
                    self.preempt(place, Cause::Share);
                    self.begin_next(&tenant);
                }
                Admission::Yield(place) => self.preempt(place, Cause::Pages),
                Admission::Rest(hungry) => {
                    self.hungry = hungry;
                    self.rested = true;
                    return;
                }
            }
        }
    }

    /// What to do about the first of each line.
    fn decide(&self, heads: &[&Waiting]) -> Admission {
        let engine = &self.parts.engine;
        // Who is held up by its own budget does not wait for others.
        let heads: Vec<&Waiting> =
            heads.iter().copied().filter(|waiting| self.in_budget(waiting)).collect();
        let lines: Vec<Line<'_, TenantId>> = heads
            .iter()
            .map(|waiting| Line { tenant: &waiting.tenant, standing: waiting.terms.standing })
            .collect();
        let places: Vec<Place<'_, TenantId>> = self
            .running
            .iter()
            .map(|running| Place {
                tenant: &running.tenant,
                standing: running.terms.standing,
                pages: engine.pages_held(running.id),
                progress: running.progress,
            })
            .collect();
        let fits = |line: usize, freed: usize| self.fits(heads[line], freed);
        let pages = engine.pages().total;
        let scene = Scene { lines: &lines, places: &places, pages, fits: &fits };
        match self.fairness.decide(&scene) {
            Decision::Begin(line) => Admission::Begin(heads[line].tenant.clone()),
            Decision::Swap { line, place } => Admission::Swap(heads[line].tenant.clone(), place),
            Decision::Yield(place) => Admission::Yield(place),
            Decision::Rest => {
                let line = |line: &Line<'_, TenantId>| (line.tenant.clone(), line.standing);
                Admission::Rest(lines.iter().map(line).collect())
            }
        }
    }

    /// Whether a sequence would have its pages if so many more were free.
    fn fits(&self, waiting: &Waiting, freed: usize) -> bool {
        let engine = &self.parts.engine;
        let tokens = waiting.sequence.tokens();
        let pages = engine.shared_pages(&salt(&waiting.tenant), waiting.sequence.reusable());
        let running = self.running.iter().map(|running| Holding {
            tokens: running.sequence.tokens().len(),
            pages: engine.pages_held(running.id),
        });
        let available = engine.pages().available + freed;
        fits(running, Holding { tokens: tokens.len(), pages }, available)
    }

    fn begin_next(&mut self, tenant: &TenantId) {
        if let Some(waiting) = self.parts.inbox.take(tenant) {
            self.begin(waiting);
        }
    }

    fn begin(&mut self, waiting: Waiting) {
        let Waiting { mut sequence, tenant, labels, terms, since, reached } = waiting;
        let metrics = &self.parts.metrics;
        metrics.queue_depth.get_or_create(&labels).dec();
        match self.parts.engine.new_sequence(salt(&tenant)) {
            Ok(id) => {
                metrics.requests_running.get_or_create(&labels).inc();
                if !sequence.was_preempted() {
                    observe_seconds(&metrics.queue_wait, &labels, since.elapsed());
                }
                if !self.speculator.is_off() {
                    sequence.speculate();
                }
                self.begun += 1;
                self.running.push(Running {
                    id,
                    key: self.begun,
                    sequence,
                    tenant,
                    labels,
                    terms,
                    progress: Progress::default(),
                    reached,
                });
            }
            Err(error) => {
                tracing::error!(%error, "the engine has no KV slot for a sequence that the scheduler has a place for");
                sequence.fail(Failure::Engine);
            }
        }
    }

    /// One step; what goes wrong in it ends the sequences in flight and nothing else.
    fn guarded_step(&mut self) -> Result<(), Broken> {
        match catch_unwind(AssertUnwindSafe(|| self.step())) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(EngineError::OutOfPages { missing, .. })) => {
                self.make_room(missing);
                Ok(())
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a step of the engine failed");
                self.fail_running(&Failure::Engine);
                Ok(())
            }
            Err(panic) => self.panicked(panic.as_ref()),
        }
    }

    pub(super) fn panicked(&mut self, panic: &(dyn std::any::Any + Send)) -> Result<(), Broken> {
        tracing::error!(panic = panic_text(panic), "a step of the engine panicked");
        self.parts.metrics.panic_caught(Component::engine);
        self.abandon_engine()
    }

    /// Takes the pages of one sequence, which begins again later from what it has said so far. One that runs alone and
    /// still lacks pages never fits.
    fn make_room(&mut self, missing: usize) {
        match self.most_holding() {
            Some(index) if self.running.len() > 1 => self.preempt(index, Cause::Pages),
            _ => self.fail_running(&Failure::TooLarge { missing }),
        }
    }

    /// The sequence that gives way when pages are short.
    pub(super) fn most_holding(&self) -> Option<usize> {
        let engine = &self.parts.engine;
        let held: Vec<Taking<&TenantId>> = self
            .running
            .iter()
            .map(|running| Taking {
                tenant: &running.tenant,
                share: running.terms.standing.share(),
                pages: engine.pages_held(running.id),
            })
            .collect();
        gives_way(&held)
    }

    /// Takes a sequence out of the batch; it goes on later from what it has said so far.
    pub(super) fn preempt(&mut self, index: usize, cause: Cause) {
        let Running { mut sequence, tenant, labels, terms, reached, .. } = self.release(index);
        sequence.preempt();
        tracing::debug!(%tenant, tokens = sequence.tokens().len(), ?cause, "a sequence goes on later");
        let metrics = &self.parts.metrics;
        let counter = match cause {
            Cause::Share => &metrics.places_yielded,
            Cause::Pages | Cause::Budget => &metrics.preemptions,
        };
        counter.get_or_create(&labels).inc();
        metrics.queue_depth.get_or_create(&labels).inc();
        let since = Instant::now();
        let waiting = Waiting { sequence, tenant, labels, terms, since, reached };
        self.parts.inbox.put_back(waiting);
    }

    /// Takes what is in the KV cache already of the prompts that are being read.
    fn reuse(&mut self) {
        let RunnerParts { engine, metrics, .. } = &mut self.parts;
        for Running { id, sequence, labels, reached, .. } in &mut self.running {
            if matches!(sequence.need(), Need::Prefill(_)) {
                let saved = sequence.reused(engine.reuse_prefix(*id, sequence.reusable()));
                *reached = sequence.computed().max(*reached);
                metrics.cached_prompt_tokens.get_or_create(labels).inc_by(saved as u64);
            }
        }
    }

    /// Fails what runs without touching the engine, whose state is unknown, and makes a new one.
    fn abandon_engine(&mut self) -> Result<(), Broken> {
        for running in self.running.drain(..) {
            self.parts.metrics.requests_running.get_or_create(&running.labels).dec();
            running.sequence.fail(Failure::Engine);
        }
        if self.rebuilds == MAX_ENGINE_REBUILDS {
            tracing::error!("the engine panicked {} times; giving up", MAX_ENGINE_REBUILDS + 1);
            return Err(Broken);
        }
        self.rebuilds += 1;
        match (self.parts.factory)() {
            Ok(engine) => {
                self.parts.engine = engine;
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "cannot make a new engine after a panic");
                Err(Broken)
            }
        }
    }

    fn step(&mut self) -> Result<(), EngineError> {
        let started = Instant::now();
        self.reuse();
        let Composition { shares, hungry } = self.compose();
        let context = self.parts.engine.context_length();
        let held: Vec<usize> = shares.iter().map(|share| self.held_by(*share)).collect();
        self.draft(&shares, &held);
        let items: Vec<StepItem<'_>> =
            shares.iter().map(|share| item(&self.running[share.index], *share)).collect();
        let phase = PhaseCount::of(&self.running, &shares, &items);
        let given = Given::of(&self.running, &shares, &items);
        let computing = Instant::now();
        let logits = self.parts.engine.step(&items)?;
        if phase.prefill == 0 {
            self.speculator.observe(phase.decode, computing.elapsed());
        }
        let vocab_size = self.parts.model.info().vocab_size;
        let mut chosen = Vec::new();
        // Programs are asked first, so that they think while the other sequences choose.
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by_key(|&place| !self.running[shares[place].index].sequence.asks());
        for place in order {
            let (share, held) = (shares[place], held[place]);
            let running = &mut self.running[share.index];
            let tokenizer = self.parts.model.tokenizer();
            let rows = running.sequence.score(logits.item(place), vocab_size, tokenizer);
            running.sequence.advance(share.tokens);
            if rows.is_empty() {
                continue;
            }
            let room = running.terms.context(context).saturating_sub(held + share.tokens);
            let verified = running.sequence.choose(rows, vocab_size, tokenizer, room);
            let guessed = (rows.len() / vocab_size.max(1)).saturating_sub(1);
            count_guesses(&self.parts.metrics, &running.labels, guessed, verified);
            chosen.push(Outcome { index: share.index, held, guessed, verified });
        }
        self.settle(&chosen)?;
        self.charge(&given, &hungry);
        self.observe(phase, started.elapsed());
        self.patience = (started.elapsed() / PATIENCE_PART).clamp(LEAST_PATIENCE, MOST_PATIENCE);
        for outcome in chosen.iter().rev().filter(|outcome| outcome.verified.over) {
            drop(self.release(outcome.index));
        }
        Ok(())
    }

    /// Gives drafts to the sequences that decode, in the room that the step leaves.
    fn draft(&mut self, shares: &[Share], held: &[usize]) {
        if self.speculator.is_off() {
            return;
        }
        let tokens: usize = shares.iter().map(|share| share.tokens).sum();
        let context = self.parts.engine.context_length();
        let tenants = || shares.iter().map(|share| &self.running[share.index].tenant);
        let shared = tenants().zip(tenants().skip(1)).any(|(one, other)| one != other);
        // A draft fits in the page that its sequence grows into and one more; nobody loses pages for a guess.
        let pages = 2 * shares.len() + tokens.div_ceil(PAGE_TOKENS);
        let room = self.parts.engine.pages().available >= pages;
        let spare = if room { self.parts.budget.tokens.saturating_sub(tokens) } else { 0 };
        let mut held_by: Vec<Option<usize>> = vec![None; self.running.len()];
        for (share, &held) in shares.iter().zip(held) {
            held_by[share.index] = Some(held);
        }
        let mut decoding = Vec::new();
        let mut indices = Vec::new();
        for (index, (running, held)) in self.running.iter_mut().zip(held_by).enumerate() {
            let Some(held) = held.filter(|_| running.sequence.need() == Need::Decode) else {
                continue;
            };
            let Some((drafts, most)) = running.sequence.drafts() else { continue };
            let most = match running.terms.kv {
                Some(_) => most.min(guessable(held + 1)),
                None => most,
            };
            let most = most.min(context.saturating_sub(held + 1));
            decoding.push(Decoding { key: running.key, drafts, most });
            indices.push(index);
        }
        let model = self.parts.engine.draft_model();
        let step = Narrow { tokens, spare, shared };
        let drafts: Vec<Option<Draft>> = self.speculator.draft(&mut decoding, step, model);
        for (index, draft) in indices.into_iter().zip(drafts) {
            self.running[index].sequence.take_draft(draft);
        }
    }

    /// Takes guesses that were wrong out of the KV cache again.
    fn settle(&mut self, chosen: &[Outcome]) -> Result<(), EngineError> {
        for outcome in chosen.iter().filter(|outcome| outcome.guessed > 0) {
            let length = outcome.held + outcome.verified.chosen;
            self.parts.engine.truncate(self.running[outcome.index].id, length)?;
        }
        Ok(())
    }

    /// Notes what a step gave to whom.
    fn charge(&mut self, given: &[Given], hungry: &[usize]) {
        let metrics = &self.parts.metrics;
        for (running, given) in self.running.iter_mut().zip(given) {
            running.note(given.tokens);
            if given.tokens > 0 {
                self.meter.note(metrics, &running.labels, given.tokens as u64, given.cost);
            }
        }
        self.meter.end_step(metrics);
        let served: Vec<Served<'_, TenantId>> = self
            .running
            .iter()
            .zip(given)
            .filter(|(_, given)| given.tokens > 0)
            .map(|(running, given)| Served {
                tenant: &running.tenant,
                standing: running.terms.standing,
                cost: given.cost,
            })
            .collect();
        let beside = hungry.iter().map(|&index| &self.running[index]);
        let beside = beside.map(|running| (&running.tenant, running.terms.standing));
        let waiting = self.hungry.iter().map(|(tenant, standing)| (tenant, *standing));
        let hungry: Vec<(&TenantId, Standing)> = waiting.chain(beside).collect();
        self.fairness.settle(&served, &hungry);
    }

    fn compose(&self) -> Composition {
        let taking_part: Vec<usize> =
            (0..self.running.len()).filter(|&index| self.takes_part(index)).collect();
        let scored = self.running.iter().filter(|running| running.sequence.is_scored());
        let rows = rows_each(scored.count());
        let candidate = |&index: &usize| {
            let running = &self.running[index];
            let standing = running.terms.standing;
            Candidate {
                tenant: &running.tenant,
                standing,
                need: running.sequence.need_within(rows),
            }
        };
        let candidates: Vec<Candidate<'_, TenantId>> = taking_part.iter().map(candidate).collect();
        let Composition { shares, hungry } = compose(&candidates, &self.fairness);
        let place = |share: Share| Share { index: taking_part[share.index], ..share };
        Composition {
            shares: shares.into_iter().map(place).collect(),
            hungry: hungry.into_iter().map(|index| taking_part[index]).collect(),
        }
    }

    /// Whether a sequence can be in the next step.
    fn takes_part(&self, index: usize) -> bool {
        !self.running[index].sequence.is_asking() && !self.awaits_another(index)
    }

    /// Whether the first prompt that its tenant is reading is about to compute what this one needs next.
    fn awaits_another(&self, index: usize) -> bool {
        let next = self.running[index].reading();
        // What another computes is of no use to a prompt that is being scored.
        let Some(next) = next.filter(|_| !self.running[index].sequence.is_scored()) else {
            return false;
        };
        let mut earlier = self.running[..index].iter().filter_map(Running::reading);
        earlier.find(|first| first.tenant == next.tenant).is_some_and(|first| awaits(&next, &first))
    }

    /// Tokens that the share's sequence holds before the step.
    fn held_by(&self, share: Share) -> usize {
        self.parts.engine.sequence_len(self.running[share.index].id)
    }

    fn release(&mut self, index: usize) -> Running {
        self.rested = false;
        let running = self.running.remove(index);
        self.parts.engine.free_sequence(running.id);
        if let Some(model) = self.parts.engine.draft_model() {
            model.forget(running.key);
        }
        self.parts.metrics.requests_running.get_or_create(&running.labels).dec();
        self.observe_kv();
        running
    }

    fn fail_running(&mut self, failure: &Failure) {
        for index in (0..self.running.len()).rev() {
            self.release(index).sequence.fail(failure.clone());
        }
    }

    pub(super) fn observe(&mut self, phase: PhaseCount, took: Duration) {
        let metrics = &self.parts.metrics;
        let labels = |phase| PhaseLabels { model: self.parts.model_label.clone(), phase };
        for (phase, tokens) in [(Phase::prefill, phase.prefill), (Phase::decode, phase.decode)] {
            if tokens > 0 {
                metrics.batch_tokens.get_or_create(&labels(phase)).observe(tokens as f64);
            }
        }
        observe_seconds(&metrics.engine_step, &labels(phase.name()), took);
        self.observe_kv();
    }

    fn observe_kv(&mut self) {
        let pages = self.parts.engine.pages();
        let used = pages.total.saturating_sub(pages.available) as f64 / pages.total.max(1) as f64;
        let labels = ModelLabels { model: self.parts.model_label.clone() };
        self.parts.metrics.kv_cache_usage.get_or_create(&labels).set(used);
        let mut held: BTreeMap<&str, (&TenantLabels, usize)> = BTreeMap::new();
        for running in &self.running {
            let entry = held.entry(&running.labels.tenant).or_insert((&running.labels, 0));
            entry.1 += self.parts.engine.pages_held(running.id) * pages.bytes;
        }
        let gauges = &self.parts.metrics.kv_cache_bytes;
        for labels in self.holders.iter().filter(|labels| !held.contains_key(&*labels.tenant)) {
            gauges.get_or_create(labels).set(0);
        }
        for (labels, bytes) in held.values() {
            gauges.get_or_create(labels).set(*bytes as i64);
        }
        self.holders = held.into_values().map(|(labels, _)| labels.clone()).collect();
    }
}

impl Drop for Runner {
    /// However the thread ends, nobody is left waiting.
    fn drop(&mut self) {
        for waiting in self.parts.inbox.close() {
            self.parts.metrics.queue_depth.get_or_create(&waiting.labels).dec();
            waiting.sequence.fail(Failure::Stopping);
        }
        self.stop_embedding();
        for running in self.running.drain(..) {
            self.parts.metrics.requests_running.get_or_create(&running.labels).dec();
            running.sequence.fail(Failure::Stopping);
        }
    }
}

/// Tokens of a step by what they are for.
#[derive(Clone, Copy)]
pub(super) struct PhaseCount {
    pub(super) prefill: usize,
    pub(super) decode: usize,
}

impl PhaseCount {
    fn of(running: &[Running], shares: &[Share], items: &[StepItem<'_>]) -> Self {
        let mut count = Self { prefill: 0, decode: 0 };
        for (share, item) in shares.iter().zip(items) {
            match running[share.index].sequence.need() {
                Need::Prefill(_) => count.prefill += item.tokens.len(),
                Need::Decode => count.decode += item.tokens.len(),
            }
        }
        count
    }

    fn name(self) -> Phase {
        match (self.prefill, self.decode) {
            (0, _) => Phase::decode,
            (_, 0) => Phase::prefill,
            _ => Phase::mixed,
        }
    }
}

/// What a step computes for a sequence.
#[derive(Clone, Copy, Default)]
struct Given {
    tokens: usize,
    cost: u64,
}

impl Given {
    /// For each that runs.
    fn of(running: &[Running], shares: &[Share], items: &[StepItem<'_>]) -> Vec<Self> {
        let mut given = vec![Self::default(); running.len()];
        for (share, item) in shares.iter().zip(items) {
            let tokens = item.tokens.len();
            let cost = match running[share.index].sequence.need() {
                Need::Prefill(_) => tokens as u64 * PREFILL_COST,
                Need::Decode => DECODE_COST + tokens.saturating_sub(1) as u64 * GUESS_COST,
            };
            given[share.index] = Self { tokens, cost };
        }
        given
    }
}

/// Only sequences of the same tenant share what is in the KV cache.
fn salt(tenant: &TenantId) -> PrefixSalt {
    PrefixSalt::Private(tenant.to_string().into())
}

fn item(running: &Running, share: Share) -> StepItem<'_> {
    let (tokens, last) = running.sequence.next_tokens(share.tokens);
    let logits = match (last, running.sequence.need()) {
        _ if running.sequence.wants_rows() => LogitsWanted::All,
        (false, _) => LogitsWanted::None,
        (true, Need::Prefill(_)) => LogitsWanted::Last,
        (true, Need::Decode) => LogitsWanted::All,
    };
    StepItem { sequence: running.id, tokens, logits }
}

fn count_guesses(metrics: &Metrics, labels: &TenantLabels, guessed: usize, verified: Verified) {
    if guessed > 0 {
        metrics.speculation_drafted.get_or_create(labels).inc_by(guessed as u64);
        metrics.speculation_accepted.get_or_create(labels).inc_by(verified.accepted as u64);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
