//! The answers of one request while they are generated: the events of all its sequences in one stream, measured as they
//! pass. Dropping it cancels what still runs.

use std::time::Instant;

use futures::{FutureExt as _, StreamExt as _, stream::SelectAll};
use jiff::Timestamp;
use tokio::task::unconstrained;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::{
    admission::ledger::Lease,
    api::{context::RequestContext, openai::Usage},
    metrics::{Metrics, ModelLabels, TenantLabels, observe_seconds},
    scheduler::{
        EventReceiver,
        event::{Event, Failure, Finish, Output},
    },
};

/// The events of all answers to a request.
pub(super) struct Answers {
    events: SelectAll<futures::stream::BoxStream<'static, (usize, Option<Event>)>>,
    clocks: Vec<Clock>,
    open: usize,
    metrics: Metrics,
    labels: TenantLabels,
    context: RequestContext,
    stopping: CancellationToken,
    completion_tokens: usize,
    cached_tokens: usize,
    lease: Lease,
}

/// When the tokens of one answer came.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    first: Option<Instant>,
    last: Option<Instant>,
    ended: bool,
}

/// Something that happened to one answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// More text.
    Output(Output),
    /// It ended.
    Finished(Finish),
}

impl Answers {
    /// Listens to the sequences, one per answer, in order of their index.
    pub(super) fn new(
        receivers: Vec<EventReceiver>,
        metrics: Metrics,
        labels: TenantLabels,
        context: RequestContext,
        stopping: CancellationToken,
        mut lease: Lease,
    ) -> Self {
        lease.begun();
        let open = receivers.len();
        let clocks = vec![Clock::default(); open];
        let mut events = SelectAll::new();
        for (index, receiver) in receivers.into_iter().enumerate() {
            let end = futures::stream::once(async move { (index, None) });
            let stream =
                ReceiverStream::new(receiver).map(move |event| (index, Some(event))).chain(end);
            events.push(stream.boxed());
        }
        Self {
            events,
            clocks,
            open,
            metrics,
            labels,
            context,
            stopping,
            completion_tokens: 0,
            cached_tokens: 0,
            lease,
        }
    }

    /// How many answers there are.
    pub(super) fn count(&self) -> usize {
        self.clocks.len()
    }

    /// Token counts of the answers that have ended.
    pub(super) fn usage(&self, prompt_tokens: usize) -> Usage {
        Usage::new(prompt_tokens, self.cached_tokens, self.completion_tokens)
    }

    /// The next thing that happens; `None` when all answers have ended. An error ends them all.
    pub(super) async fn next(&mut self) -> Option<Result<(usize, Answer), Failure>> {
        while self.open > 0 {
            let event = tokio::select! {
                biased;
                event = self.events.next() => event,
                () = self.stopping.cancelled() => return Some(Err(self.failed(Failure::Stopping))),
            };
            match event {
                Some((index, Some(Event::Output(output)))) => {
                    self.measure(index, output.tokens);
                    return Some(Ok((index, Answer::Output(output))));
                }
                Some((index, Some(Event::Finished(finish)))) => {
                    self.open -= 1;
                    self.finished(index, finish);
                    return Some(Ok((index, Answer::Finished(finish))));
                }
                Some((_, Some(Event::Failed(failure)))) => return Some(Err(self.failed(failure))),
                // A channel that closes after its last event is no news; one that closes before it means that the
                // scheduler thread is gone.
                Some((index, None)) if self.clocks[index].ended => {}
                Some((_, None)) | None => return Some(Err(self.failed(Failure::Engine))),
            }
        }
        None
    }

    fn measure(&mut self, index: usize, tokens: usize) {
        let now = Instant::now();
        self.lease.spend(Timestamp::now(), tokens);
        self.metrics.output_tokens.get_or_create(&self.labels).inc_by(tokens as u64);
        let clock = &mut self.clocks[index];
        match clock.last.replace(now) {
            None => {
                clock.first = Some(now);
                let since = now.duration_since(self.context.started());
                observe_seconds(&self.metrics.time_to_first_token, &self.labels, since);
            }
            Some(last) => {
                let labels = ModelLabels { model: self.labels.model.clone() };
                observe_seconds(
                    &self.metrics.inter_token_latency,
                    &labels,
                    now.duration_since(last),
                );
            }
        }
    }

    fn finished(&mut self, index: usize, finish: Finish) {
        self.completion_tokens += finish.completion_tokens;
        self.cached_tokens += finish.cached_tokens;
        let clock = &mut self.clocks[index];
        clock.ended = true;
        if let (Some(first), Some(last), later @ 1..) =
            (clock.first, clock.last, finish.completion_tokens.saturating_sub(1))
        {
            let each = last.duration_since(first) / later as u32;
            observe_seconds(&self.metrics.time_per_output_token, &self.labels, each);
        }
    }

    fn failed(&mut self, failure: Failure) -> Failure {
        self.open = 0;
        failure
    }
}

impl Drop for Answers {
    /// Tokens that were computed and that nobody fetched count as well.
    fn drop(&mut self) {
        while let Some(Some((_, event))) = unconstrained(self.events.next()).now_or_never() {
            if let Some(Event::Output(output)) = event {
                self.lease.spend(Timestamp::now(), output.tokens);
            }
        }
    }
}
