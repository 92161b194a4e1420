//! Texts that are to be embedded, beside the sequences that generate: what waits, which piece of it is next, and whose
//! turn it is. Knows no engine and no thread.
//!
//! Between two steps the thread embeds at most one piece: whole texts of one request, together as long as the prompt
//! tokens that such a step may have, or one text that is longer than that. So running answers wait for one piece at most
//! before each of their tokens, and the longest text (see [`longest`]) bounds it. A text costs its tenant what a prompt of
//! its length costs. Whose piece is next is decided by the counters that decide everything else: that of the tenant that
//! was given least, and not before those who run and were given less.

use std::{sync::Arc, time::Instant};

use realm_engine::engine::{MAX_STEP_TOKENS, Task, TokenId};
use tokio::sync::oneshot;

use crate::{
    metrics::TenantLabels,
    scheduler::{
        budget::Budget,
        event::Failure,
        fairness::{Fairness, Standing},
    },
    tenant::TenantId,
};

/// A vector for each text.
pub type Vectors = Vec<Vec<f32>>;
/// Where they arrive; dropping it cancels what is not computed yet.
pub type VectorsReceiver = oneshot::Receiver<Result<Vectors, Failure>>;

/// Texts of one request that wait, and what is there of their vectors.
#[derive(Debug)]
pub(super) struct Embedding {
    pub(super) tenant: TenantId,
    pub(super) labels: TenantLabels,
    pub(super) standing: Standing,
    pub(super) since: Instant,
    texts: Vec<Arc<[TokenId]>>,
    vectors: Vectors,
    begun: bool,
    done: oneshot::Sender<Result<Vectors, Failure>>,
}

impl Embedding {
    /// Texts that wait, and where their vectors arrive.
    pub(super) fn new(
        tenant: TenantId,
        labels: TenantLabels,
        standing: Standing,
        texts: Vec<Arc<[TokenId]>>,
    ) -> (Self, VectorsReceiver) {
        let (done, receiver) = oneshot::channel();
        let (vectors, since) = (Vec::with_capacity(texts.len()), Instant::now());
        let waiting = Self { tenant, labels, standing, since, texts, vectors, begun: false, done };
        (waiting, receiver)
    }

    /// The next texts: at least one, at most `count`, and more than one only while they have no more than `tokens`.
    pub(super) fn piece(&self, tokens: usize, count: usize) -> Vec<Arc<[TokenId]>> {
        let mut taken = 0;
        let fits = |text: &&Arc<[TokenId]>| {
            let first = taken == 0;
            taken += text.len();
            first || taken <= tokens
        };
        let rest = &self.texts[self.vectors.len().min(self.texts.len())..];
        rest.iter().take(count.max(1)).take_while(fits).cloned().collect()
    }

    /// Takes the vectors of a piece.
    pub(super) fn take(&mut self, vectors: Vectors) {
        self.vectors.extend(vectors);
    }

    /// Whether every text has its vector.
    pub(super) fn is_whole(&self) -> bool {
        self.vectors.len() >= self.texts.len()
    }

    /// `true` the first time.
    pub(super) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    /// Whether its first piece was taken.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.done.is_closed()
    }

    /// Hands the vectors out. Who has gone meanwhile needs none.
    pub(super) fn finish(self) {
        let _ = self.done.send(Ok(self.vectors));
    }

    /// Ends it without.
    pub(super) fn fail(self, failure: Failure) {
        let _ = self.done.send(Err(failure));
    }
}

/// Tokens of a text that is embedded, at most, in a context of this length. A text is computed in one piece. A model that
/// generates has answers that wait meanwhile, so there it is as long as a step.
pub(super) fn longest(task: Task, context: usize, budget: Budget) -> usize {
    match task {
        Task::Embed => context.min(MAX_STEP_TOKENS),
        Task::Generate => context.min(budget.tokens),
    }
}

/// Whose piece is next among tenants with such texts; nobody's while one that runs was given less.
pub(super) fn next(
    lines: &[(TenantId, Standing)],
    running: &[(&TenantId, Standing)],
    fairness: &Fairness<TenantId>,
) -> Option<usize> {
    let lines = lines.iter().map(|(tenant, standing)| (tenant, *standing));
    let count = lines.len();
    let parties: Vec<(&TenantId, Standing)> = lines.chain(running.iter().copied()).collect();
    let everybody = 0..parties.len();
    let tally = fairness.tally(parties.into_iter());
    // The earlier one of equals, which is the one that waits.
    tally.least(everybody).filter(|&party| party < count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::fairness::{Class, Rules, Served};

    const EQUAL: Standing = Standing { class: Class::Standard, weight: 100 };
    const BUDGET: Budget = Budget { tokens: 64, prefill_beside_decode: 16 };

    fn tenant(name: &str) -> TenantId {
        TenantId::Named { namespace: "n".into(), name: name.into() }
    }

    #[test]
    fn pieces_are_whole_texts_within_the_budget() {
        let labels = TenantLabels { tenant: "t".into(), model: "m".into() };
        let texts = |lengths: &[usize]| -> Vec<Arc<[TokenId]>> {
            lengths.iter().map(|&length| vec![1; length].into()).collect()
        };
        let cases: [(&[usize], usize, usize, &[usize]); 6] = [
            (&[5, 5, 5], 64, 8, &[5, 5, 5]),
            (&[5, 5, 5], 10, 8, &[5, 5]),
            (&[5, 5, 5], 9, 8, &[5]),
            (&[50, 5], 9, 8, &[50]),
            (&[5, 5, 5], 64, 2, &[5, 5]),
            (&[5, 5, 5], 0, 0, &[5]),
        ];
        for (lengths, tokens, count, expected) in cases {
            let (mut waiting, _receiver) =
                Embedding::new(tenant("a"), labels.clone(), EQUAL, texts(lengths));
            let piece = waiting.piece(tokens, count);
            let taken: Vec<usize> = piece.iter().map(|text| text.len()).collect();
            assert_eq!(taken, expected, "{lengths:?} {tokens} {count}");
            waiting.take(vec![vec![0.0]; lengths.len() - 1]);
            assert!(!waiting.is_whole());
            assert_eq!(waiting.piece(tokens, count).len(), 1, "the last one");
            waiting.take(vec![vec![0.0]]);
            assert!(waiting.is_whole());
        }
    }

    #[test]
    fn the_least_served_is_next_and_waits_for_those_who_run_and_had_less() {
        let (a, b, c) = (tenant("a"), tenant("b"), tenant("c"));
        let mut fairness = Fairness::new(Rules { places: 4, budget: BUDGET });
        let served = |tenant, cost| Served { tenant, standing: EQUAL, cost };
        fairness.settle(
            &[served(&a, 30), served(&b, 10), served(&c, 20)],
            &[(&a, EQUAL), (&b, EQUAL), (&c, EQUAL)],
        );
        let line = |tenant: &TenantId| (tenant.clone(), EQUAL);
        assert_eq!(next(&[], &[], &fairness), None);
        assert_eq!(next(&[line(&a), line(&b)], &[], &fairness), Some(1));
        assert_eq!(next(&[line(&a), line(&b)], &[(&c, EQUAL)], &fairness), Some(1));
        assert_eq!(next(&[line(&a), line(&c)], &[(&b, EQUAL)], &fairness), None);
        assert_eq!(next(&[line(&b)], &[(&b, EQUAL)], &fairness), Some(0), "beside its own answers");
        fairness.settle(&[served(&b, 15)], &[(&a, EQUAL), (&c, EQUAL)]);
        assert_eq!(next(&[line(&a), line(&c)], &[(&b, EQUAL)], &fairness), Some(1));
    }

    #[test]
    fn a_text_is_no_longer_than_what_may_hold_others_up() {
        assert_eq!(longest(Task::Embed, 512, BUDGET), 512);
        assert_eq!(longest(Task::Embed, 1 << 20, BUDGET), MAX_STEP_TOKENS);
        assert_eq!(longest(Task::Generate, 512, BUDGET), 64);
        assert_eq!(longest(Task::Generate, 32, BUDGET), 32);
    }
}
