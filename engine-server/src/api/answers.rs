//! The answers of one request while they are generated: the events of all its sequences in one stream, measured as they
//! pass. Dropping it cancels what still runs.

use std::{collections::VecDeque, iter::repeat_with, time::Instant};

use futures::{FutureExt as _, StreamExt as _, stream::SelectAll};
use jiff::Timestamp;
use realm_sandbox::{
    Breach,
    filter::{Ended, Filter, Passed},
    plan::Reject,
    wire::{self, Finish as WireFinish},
};
use tokio::task::unconstrained;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::{
    admission::ledger::Lease,
    api::{context::RequestContext, error::ApiError, openai::Usage},
    metrics::{Metrics, ModelLabels, TenantLabels, observe_seconds},
    scheduler::{
        EventReceiver,
        event::{Event, Failure, Finish, FinishReason, Output, ScoredToken},
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
    /// What each answer's text passes through; empty without a program that looks at answers.
    filters: Vec<Option<Filter>>,
    /// Ends one answer's sequence.
    cuts: Vec<CancellationToken>,
    /// What happened and was not told yet.
    ready: VecDeque<(usize, Answer)>,
    lease: Lease,
}

/// When the tokens of one answer came.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    first: Option<Instant>,
    last: Option<Instant>,
    tokens: usize,
    ended: bool,
}

/// Something that happened to one answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// The probabilities of its prompt.
    Scored(Vec<ScoredToken>),
    /// More text.
    Output(Output),
    /// The tenant's program puts this in the place of the whole answer.
    Replaced(String),
    /// It ended.
    Finished(Finish),
}

/// Why answers broke off.
#[derive(Debug)]
pub(super) enum Broken {
    /// The sequence failed.
    Sequence(Failure),
    /// The tenant's program failed.
    Program(Breach),
    /// The tenant's program refuses the answer.
    Refused(Reject),
}

impl From<Broken> for ApiError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Sequence(failure) => failure.into(),
            Broken::Program(breach) => breach.into(),
            Broken::Refused(reject) => reject.into(),
        }
    }
}

impl Answers {
    /// Listens to the sequences, one per answer, in order of their index; `filters` has one for each, or none at all.
    pub(super) fn new(
        receivers: Vec<EventReceiver>,
        filters: Vec<Option<Filter>>,
        metrics: Metrics,
        labels: TenantLabels,
        context: RequestContext,
        stopping: CancellationToken,
        mut lease: Lease,
    ) -> Self {
        lease.begun();
        let open = receivers.len();
        let clocks = vec![Clock::default(); open];
        let cuts: Vec<_> = repeat_with(CancellationToken::new).take(open).collect();
        let mut events = SelectAll::new();
        for (index, receiver) in receivers.into_iter().enumerate() {
            let end = futures::stream::once(async move { (index, None) });
            let stream =
                ReceiverStream::new(receiver).take_until(cuts[index].clone().cancelled_owned());
            let stream = stream.map(move |event| (index, Some(event))).chain(end);
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
            filters,
            cuts,
            ready: VecDeque::new(),
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
    pub(super) async fn next(&mut self) -> Option<Result<(usize, Answer), Broken>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(Ok(ready));
            }
            let passed = match self.listen().await? {
                Ok((index, answer)) => self.pass(index, answer).await,
                Err(failure) => Err(Broken::Sequence(failure)),
            };
            if let Err(broken) = passed {
                self.open = 0;
                return Some(Err(broken));
            }
        }
    }

    /// Lets an answer's text pass its filter. A guest is called beside the async threads.
    async fn pass(&mut self, index: usize, answer: Answer) -> Result<(), Broken> {
        let Some(filter) = self.filters.get_mut(index).and_then(Option::take) else {
            self.ready.push_back((index, answer));
            return Ok(());
        };
        match answer {
            Answer::Output(output) => self.pass_output(index, filter, output).await,
            Answer::Finished(finish) => self.pass_end(index, filter, finish).await,
            // Of the client's own prompt, which a filter leaves alone.
            Answer::Scored(_) => {
                self.filters[index] = Some(filter);
                self.ready.push_back((index, answer));
                Ok(())
            }
            Answer::Replaced(_) => Ok(()),
        }
    }

    /// Probabilities would tell what a filter takes away, so they do not pass.
    async fn pass_output(
        &mut self,
        index: usize,
        filter: Filter,
        output: Output,
    ) -> Result<(), Broken> {
        let beside = filter.calls_guest();
        let Output { text, ids, tokens, .. } = output;
        let (filter, passed) =
            apart(filter, beside, move |filter| filter.push(&ids, &text)).await?;
        self.filters[index] = Some(filter);
        let Passed { text, end } = passed.map_err(Broken::Program)?;
        let output = Output { text, tokens, ..Output::default() };
        self.ready.push_back((index, Answer::Output(output)));
        if let Some(why) = end {
            self.cut(index, why);
        }
        Ok(())
    }

    async fn pass_end(
        &mut self,
        index: usize,
        filter: Filter,
        finish: Finish,
    ) -> Result<(), Broken> {
        let beside = filter.ends_in_guest();
        let why = match finish.reason {
            FinishReason::Stop => WireFinish::Stop,
            FinishReason::Length => WireFinish::Length,
            FinishReason::Filtered => WireFinish::Filtered,
        };
        let used = wire::Usage {
            completion_tokens: finish.completion_tokens as u32,
            ..wire::Usage::default()
        };
        let (_, ended) = apart(filter, beside, move |filter| filter.finish(why, used)).await?;
        let Ended { text, verdict } = ended.map_err(Broken::Program)?;
        let replaced = verdict.map_err(Broken::Refused)?;
        self.ready.push_back((index, Answer::Output(Output { text, ..Output::default() })));
        self.ready.extend(replaced.map(|text| (index, Answer::Replaced(text))));
        self.ready.push_back((index, Answer::Finished(finish)));
        Ok(())
    }

    /// Ends an answer whose program wants no more of it.
    fn cut(&mut self, index: usize, why: WireFinish) {
        let reason = why.into();
        let completion_tokens = self.clocks[index].tokens;
        let finish = Finish { reason, completion_tokens, cached_tokens: 0 };
        self.filters[index] = None;
        self.open -= 1;
        self.finished(index, finish);
        self.cuts[index].cancel();
        self.ready.push_back((index, Answer::Finished(finish)));
    }

    /// The next event of the sequences; `None` when all have ended.
    async fn listen(&mut self) -> Option<Result<(usize, Answer), Failure>> {
        while self.open > 0 {
            let event = tokio::select! {
                biased;
                event = self.events.next() => event,
                () = self.stopping.cancelled() => return Some(Err(self.failed(Failure::Stopping))),
            };
            match event {
                // What a sequence still had to say when it was cut.
                Some((index, Some(_))) if self.clocks[index].ended => {}
                Some((index, Some(Event::Scored(scored)))) => {
                    return Some(Ok((index, Answer::Scored(scored))));
                }
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
        clock.tokens += tokens;
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

/// Works on a filter, on a thread that may wait when a guest is called.
async fn apart<T: Send + 'static>(
    mut filter: Filter,
    beside: bool,
    work: impl FnOnce(&mut Filter) -> T + Send + 'static,
) -> Result<(Filter, T), Broken> {
    if !beside {
        let done = work(&mut filter);
        return Ok((filter, done));
    }
    let working = tokio::task::spawn_blocking(move || {
        let done = work(&mut filter);
        (filter, done)
    });
    working.await.map_err(|error| {
        tracing::error!(%error, "the filter of an answer failed");
        Broken::Sequence(Failure::Engine)
    })
}
