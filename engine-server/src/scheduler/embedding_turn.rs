//! The scheduler thread's turn between two steps at which texts are embedded: one piece of the tenant whose turn it is.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Instant,
};

use realm_engine::engine::{EngineError, TokenId};

use crate::{
    metrics::observe_seconds,
    scheduler::{
        embedding::{self, Embedding, Vectors},
        event::Failure,
        fairness::{PREFILL_COST, Served, Standing},
        runner::{Broken, Cause, PhaseCount, Runner},
    },
    tenant::TenantId,
};

/// What the engine makes of a piece.
type Embedded = Result<Vectors, EngineError>;

impl Runner {
    /// Embeds one piece of what waits for it, if its tenant is the next.
    pub(super) fn embed(&mut self) -> Result<(), Broken> {
        for waiting in self.parts.inbox.take_abandoned_embeddings() {
            self.count_embedding_out(&waiting);
        }
        let lines = self.parts.inbox.embedding_lines();
        if lines.is_empty() {
            return Ok(());
        }
        let running: Vec<(&TenantId, Standing)> =
            self.running.iter().map(|running| (&running.tenant, running.terms.standing)).collect();
        let tenant = embedding::next(&lines, &running, &self.fairness).map(|line| &lines[line].0);
        let taken = tenant.and_then(|tenant| self.parts.inbox.take_embedding(tenant));
        // Texts and answers have one thread, so until it has done both, each waits for the other.
        let running = running.into_iter().map(|(tenant, standing)| (tenant.clone(), standing));
        self.hungry.extend(running.collect::<Vec<_>>());
        self.hungry.extend(lines.iter().cloned());
        taken.map_or(Ok(()), |waiting| self.embed_piece(waiting))
    }

    fn embed_piece(&mut self, mut waiting: Embedding) -> Result<(), Broken> {
        // There may be another piece.
        self.rested = false;
        let metrics = &self.parts.metrics;
        if waiting.begin() {
            metrics.queue_depth.get_or_create(&waiting.labels).dec();
            metrics.requests_running.get_or_create(&waiting.labels).inc();
            observe_seconds(&metrics.queue_wait, &waiting.labels, waiting.since.elapsed());
        }
        let count = self.parts.engine.sequences().saturating_sub(self.running.len());
        let texts = waiting.piece(self.parts.budget.prefill(self.running.len()), count);
        let tokens = texts.iter().map(|text| text.len()).sum();
        let started = Instant::now();
        match self.vectors_of(&texts) {
            Ok(Ok(vectors)) => {
                waiting.take(vectors);
                self.charge_embedded(&waiting, tokens);
                self.observe(PhaseCount { prefill: tokens, decode: 0 }, started.elapsed());
                if waiting.is_whole() {
                    self.count_embedding_out(&waiting);
                    waiting.finish();
                } else {
                    self.parts.inbox.put_back_embedding(waiting);
                }
                Ok(())
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "texts cannot be embedded");
                self.count_embedding_out(&waiting);
                waiting.fail(Failure::Engine);
                Ok(())
            }
            Err(panic) => {
                self.count_embedding_out(&waiting);
                waiting.fail(Failure::Engine);
                self.panicked(panic.as_ref())
            }
        }
    }

    /// Embeds; where the engine has no room, sequences give way, one after another.
    fn vectors_of(&mut self, texts: &[Arc<[TokenId]>]) -> thread::Result<Embedded> {
        let texts: Vec<&[TokenId]> = texts.iter().map(|text| &text[..]).collect();
        loop {
            let engine = &mut self.parts.engine;
            let embedded = catch_unwind(AssertUnwindSafe(|| engine.embed(&texts)))?;
            let cause = match embedded {
                Err(EngineError::OutOfPages { .. }) => Cause::Pages,
                Err(EngineError::NoFreeSequence { .. }) => Cause::Share,
                embedded => return Ok(embedded),
            };
            match self.most_holding() {
                Some(index) => self.preempt(index, cause),
                None => return Ok(embedded),
            }
        }
    }

    /// Notes that a tenant's texts were given so many tokens.
    fn charge_embedded(&mut self, waiting: &Embedding, tokens: usize) {
        let Embedding { tenant, labels, standing, .. } = waiting;
        let cost = tokens as u64 * PREFILL_COST;
        self.meter.note(&self.parts.metrics, labels, tokens as u64, cost);
        self.meter.end_step(&self.parts.metrics);
        let hungry: Vec<(&TenantId, Standing)> =
            self.hungry.iter().map(|(tenant, standing)| (tenant, *standing)).collect();
        self.fairness.settle(&[Served { tenant, standing: *standing, cost }], &hungry);
    }

    /// Counts texts as neither waiting nor running any more.
    fn count_embedding_out(&self, waiting: &Embedding) {
        let metrics = &self.parts.metrics;
        let gauge =
            if waiting.has_begun() { &metrics.requests_running } else { &metrics.queue_depth };
        gauge.get_or_create(&waiting.labels).dec();
    }

    /// Ends all texts that wait.
    pub(super) fn stop_embedding(&mut self) {
        for waiting in self.parts.inbox.take_embeddings() {
            self.count_embedding_out(&waiting);
            waiting.fail(Failure::Stopping);
        }
    }
}
