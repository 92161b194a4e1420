//! The answers of one request while they are generated: the events of all its sequences in one stream, measured as they
//! pass. Dropping it cancels what still runs.

use std::{collections::VecDeque, iter::repeat_with, time::Instant};

use futures::{
    FutureExt as _, StreamExt as _,
    stream::{self, BoxStream, SelectAll},
};
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
    agent::{AgentEvent, AgentEvents},
    api::{context::RequestContext, error::ApiError, openai::Usage},
    metrics::{Metrics, ModelLabels, TenantLabels, observe_seconds},
    scheduler::{
        EventReceiver,
        event::{Event, Failure, Finish, Output, ScoredToken},
    },
};

/// The events of all answers to a request.
pub(super) struct Answers {
    events: SelectAll<BoxStream<'static, (usize, Option<Heard>)>>,
    clocks: Vec<Clock>,
    open: usize,
    around: Around,
    completion_tokens: usize,
    cached_tokens: usize,
    /// What each answer's text passes through; empty without a program that looks at answers.
    filters: Vec<Option<Filter>>,
    /// Ends one answer's sequence.
    cuts: Vec<CancellationToken>,
    /// What happened and was not told yet.
    ready: VecDeque<(usize, Answer)>,
    /// What the request holds of its tenant's limits; an agent has it itself.
    lease: Option<Lease>,
}

/// Where a request is answered: what counts it, and what ends it.
pub(super) struct Around {
    /// Counters.
    pub metrics: Metrics,
    /// Whose they are.
    pub labels: TenantLabels,
    /// The request.
    pub context: RequestContext,
    /// Cancelled when the server gives up what still runs.
    pub stopping: CancellationToken,
}

/// What a sequence or an agent says.
#[derive(Debug)]
enum Heard {
    Said(Event),
    Instead(String),
    Broken(Broken),
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

impl From<AgentEvent> for Heard {
    fn from(event: AgentEvent) -> Self {
        match event {
            AgentEvent::Text(text) => {
                Self::Said(Event::Output(Output { text, ..Output::default() }))
            }
            AgentEvent::Instead(text) => Self::Instead(text),
            AgentEvent::Ended(finish) => Self::Said(Event::Finished(finish)),
            AgentEvent::Broken(breach) => Self::Broken(Broken::Program(breach)),
            AgentEvent::Refused(reject) => Self::Broken(Broken::Refused(reject)),
        }
    }
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
        mut lease: Lease,
        around: Around,
    ) -> Self {
        lease.begun();
        let said = |receiver| ReceiverStream::new(receiver).map(Heard::Said).boxed();
        Self::over(receivers.into_iter().map(said).collect(), filters, Some(lease), around)
    }

    /// Listens to an agent, whose answer it is.
    pub(super) fn of_agent(agent: AgentEvents, around: Around) -> Self {
        let said = stream::unfold(agent, |mut agent| async move {
            let event = agent.next().await?;
            Some((Heard::from(event), agent))
        });
        Self::over(vec![said.boxed()], Vec::new(), None, around)
    }

    fn over(
        streams: Vec<BoxStream<'static, Heard>>,
        filters: Vec<Option<Filter>>,
        lease: Option<Lease>,
        around: Around,
    ) -> Self {
        let open = streams.len();
        let clocks = vec![Clock::default(); open];
        let cuts: Vec<_> = repeat_with(CancellationToken::new).take(open).collect();
        let mut events = SelectAll::new();
        for (index, stream) in streams.into_iter().enumerate() {
            let end = stream::once(async move { (index, None) });
            let stream = stream.take_until(cuts[index].clone().cancelled_owned());
            events.push(stream.map(move |heard| (index, Some(heard))).chain(end).boxed());
        }
        Self {
            events,
            clocks,
            open,
            around,
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
                Err(broken) => Err(broken),
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
        let why = finish.reason.into();
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
    async fn listen(&mut self) -> Option<Result<(usize, Answer), Broken>> {
        while self.open > 0 {
            let heard = tokio::select! {
                biased;
                heard = self.events.next() => heard,
                () = self.around.stopping.cancelled() => {
                    return Some(Err(self.failed(Failure::Stopping)));
                }
            };
            match heard {
                // What a sequence still had to say when it was cut, or that its channel is closed.
                Some((index, _)) if self.clocks[index].ended => {}
                Some((index, Some(heard))) => return Some(self.hear(index, heard)),
                // One that closes before its last event means that the scheduler thread, or the agent's, is gone.
                Some((_, None)) | None => return Some(Err(self.failed(Failure::Engine))),
            }
        }
        None
    }

    fn hear(&mut self, index: usize, heard: Heard) -> Result<(usize, Answer), Broken> {
        let answer = match heard {
            Heard::Said(Event::Output(output)) => {
                self.measure(index, output.tokens);
                Answer::Output(output)
            }
            Heard::Said(Event::Scored(scored)) => Answer::Scored(scored),
            Heard::Said(Event::Finished(finish)) => {
                self.open -= 1;
                self.finished(index, finish);
                Answer::Finished(finish)
            }
            Heard::Said(Event::Failed(failure)) => return Err(self.failed(failure)),
            Heard::Instead(text) => Answer::Replaced(text),
            Heard::Broken(broken) => return Err(broken),
        };
        Ok((index, answer))
    }

    /// Counts tokens as they come. An agent counts its own; of its texts only the first is timed, because what lies
    /// between the others is the agent's choice.
    fn measure(&mut self, index: usize, tokens: usize) {
        let now = Instant::now();
        let Around { metrics, labels, context, .. } = &self.around;
        let counted = self.lease.is_some();
        if let Some(lease) = &mut self.lease {
            lease.spend(Timestamp::now(), tokens);
            metrics.output_tokens.get_or_create(labels).inc_by(tokens as u64);
        }
        let clock = &mut self.clocks[index];
        clock.tokens += tokens;
        match clock.last.replace(now) {
            None => {
                clock.first = Some(now);
                let since = now.duration_since(context.started());
                observe_seconds(&metrics.time_to_first_token, labels, since);
            }
            Some(last) if counted => {
                let labels = ModelLabels { model: labels.model.clone() };
                observe_seconds(&metrics.inter_token_latency, &labels, now.duration_since(last));
            }
            Some(_) => {}
        }
    }

    fn finished(&mut self, index: usize, finish: Finish) {
        self.completion_tokens += finish.completion_tokens;
        self.cached_tokens += finish.cached_tokens;
        let counted = self.lease.is_some();
        let clock = &mut self.clocks[index];
        clock.ended = true;
        if let (Some(first), Some(last), later @ 1.., true) =
            (clock.first, clock.last, finish.completion_tokens.saturating_sub(1), counted)
        {
            let each = last.duration_since(first) / later as u32;
            let Around { metrics, labels, .. } = &self.around;
            observe_seconds(&metrics.time_per_output_token, labels, each);
        }
    }

    fn failed(&mut self, failure: Failure) -> Broken {
        self.open = 0;
        Broken::Sequence(failure)
    }
}

impl Drop for Answers {
    /// Tokens that were computed and that nobody fetched count as well.
    fn drop(&mut self) {
        let Some(lease) = &mut self.lease else { return };
        while let Some(Some((_, heard))) = unconstrained(self.events.next()).now_or_never() {
            if let Some(Heard::Said(Event::Output(output))) = heard {
                lease.spend(Timestamp::now(), output.tokens);
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
