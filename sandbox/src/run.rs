//! A program at work on one request: a fresh instance, the hooks as typed calls, and an end that leaves nothing behind.

use std::{fmt, sync::Arc, time::Duration};

use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Lift, Lower, TypedFunc};

use crate::{
    answer::{Action, Decision},
    breach::{Breach, BreachKind, FailurePolicy, Hook},
    guest::{Guest, Timed},
    host::Inference,
    plan::{Fault, Plan, Reject},
    program::{LoadError, Program},
    state::{Agent, State},
    wire::{
        Batch, Finish, Prompt, RawAction, RawDecision, RawPlan, RawReject, Request, Step, Usage,
    },
};

/// Bytes of the answer of an agent.
pub const MAX_ANSWER_BYTES: usize = 1 << 20;

type RequestFunction = TypedFunc<(Request, Prompt), (Result<RawPlan, RawReject>,)>;
type TokenFunction = TypedFunc<(Batch,), (RawAction,)>;
type LogitFunction = TypedFunc<(Step, Vec<u32>, Vec<f32>), (RawDecision,)>;
type ResponseFunction = TypedFunc<(String, Finish, Usage), (Result<Option<String>, RawReject>,)>;
type RunFunction = TypedFunc<(Request, Prompt), (Result<String, RawReject>,)>;

/// A request's instance. Dropping it ends the instance and clears its memory.
pub struct Run {
    program: Arc<Program>,
    /// None after a failure that an open policy let pass.
    guest: Option<Guest>,
    on_tokens: Option<TokenFunction>,
    on_logits: Option<LogitFunction>,
    faulted: bool,
    /// Whether it is an agent, whose answer nobody else can give: no policy lets its request go on without it.
    agent: bool,
}

impl Program {
    /// Starts the program for a request whose seed it is. Fails if the program may not run or does not start, and its
    /// policy is closed.
    pub fn begin(self: &Arc<Self>, seed: u64) -> Result<Run, Breach> {
        self.begin_with(seed, None)
    }

    /// Starts an agent, which reaches the model for this request.
    pub fn begin_agent(
        self: &Arc<Self>,
        seed: u64,
        inference: Box<dyn Inference>,
    ) -> Result<Run, Breach> {
        self.begin_with(seed, Some(Agent { inference, contexts: 0, tokens: 0 }))
    }

    fn begin_with(self: &Arc<Self>, seed: u64, agent: Option<Agent>) -> Result<Run, Breach> {
        let mut run = Run {
            program: Arc::clone(self),
            guest: None,
            on_tokens: None,
            on_logits: None,
            faulted: false,
            agent: agent.is_some(),
        };
        let started = self.may_run().and_then(|()| run.start(seed, agent));
        match started {
            Ok(()) => Ok(run),
            Err(breach) => run.fail(breach).map(|()| run),
        }
    }

    /// Whether the breaker and the minute's budget let a request in.
    fn may_run(&self) -> Result<(), Breach> {
        let now = self.host.clock.elapsed();
        let mut ledger = self.ledger();
        if !ledger.budget.admits(now) {
            let limit = self.terms.limits.minute_time;
            return Err(Breach::time(Hook::Start, BreachKind::MinuteTime, limit, limit));
        }
        if !ledger.breaker.admit(now) {
            return Err(Breach::plain(Hook::Start, BreachKind::Suspended, ""));
        }
        Ok(())
    }

    /// Starts one instance and looks at the types of all hooks.
    pub(crate) fn check_hooks(self: &Arc<Self>) -> Result<(), LoadError> {
        let state = State::new(self.host.clone(), &self.terms.limits, 0, None);
        let mut guest =
            Guest::start(&self.engine, &self.ready, &self.terms.limits, state).outcome?;
        let exports = self.exports;
        let mismatch = |error: wasmtime::Error| LoadError::Mismatch(format!("{error:#}"));
        if let Some(index) = exports.on_request {
            let _: RequestFunction = guest.function(index).map_err(mismatch)?;
        }
        if let Some(index) = exports.on_tokens {
            let _: TokenFunction = guest.function(index).map_err(mismatch)?;
        }
        if let Some(index) = exports.on_logits {
            let _: LogitFunction = guest.function(index).map_err(mismatch)?;
        }
        if let Some(index) = exports.on_response {
            let _: ResponseFunction = guest.function(index).map_err(mismatch)?;
        }
        if let Some(index) = exports.run {
            let _: RunFunction = guest.function(index).map_err(mismatch)?;
        }
        Ok(())
    }
}

impl Run {
    /// Asks what to do with the request. A program without the hook leaves it as it is.
    pub fn on_request(
        &mut self,
        request: Request,
        prompt: Prompt,
    ) -> Result<Result<Plan, Reject>, Breach> {
        let vocabulary = self.vocabulary();
        let index = self.program.exports.on_request;
        let answer = self.once(Hook::OnRequest, index, (request, prompt), |raw| match raw {
            Ok(plan) => Plan::parse(plan, vocabulary).map(Ok),
            Err(reject) => Reject::parse(reject).map(Err),
        })?;
        Ok(self.counted(answer.unwrap_or_else(|| Ok(Plan::default()))))
    }

    /// Asks what to do with tokens of the answer.
    pub fn on_tokens(&mut self, batch: Batch) -> Result<Action, Breach> {
        let vocabulary = self.vocabulary();
        let shown = batch.tokens.len();
        let index = self.program.exports.on_tokens;
        let mut function = self.on_tokens.take();
        let answer = self.call(Hook::OnTokens, index, &mut function, (batch,), |raw| {
            Action::parse(raw, shown, vocabulary)
        });
        self.on_tokens = function;
        Ok(answer?.unwrap_or(Action::Pass))
    }

    /// Asks how to choose among candidates. `ids` and `logits` have the same length.
    pub fn on_logits(
        &mut self,
        step: Step,
        ids: Vec<u32>,
        logits: Vec<f32>,
    ) -> Result<Decision, Breach> {
        let vocabulary = self.vocabulary();
        let candidates = ids.len();
        let index = self.program.exports.on_logits;
        let mut function = self.on_logits.take();
        let answer = self.call(Hook::OnLogits, index, &mut function, (step, ids, logits), |raw| {
            Decision::parse(raw, candidates, vocabulary)
        });
        self.on_logits = function;
        Ok(answer?.unwrap_or(Decision::Pass))
    }

    /// Shows the whole answer; a text that comes back stands for it.
    pub fn on_response(
        &mut self,
        text: String,
        why: Finish,
        usage: Usage,
    ) -> Result<Result<Option<String>, Reject>, Breach> {
        let usage = Usage { hook_micros: self.spent().as_micros() as u64, ..usage };
        let index = self.program.exports.on_response;
        let answer =
            self.once(Hook::OnResponse, index, (text, why, usage), |raw: Result<_, RawReject>| {
                match raw {
                    Ok(text) => Ok(Ok(text)),
                    Err(reject) => Reject::parse(reject).map(Err),
                }
            })?;
        Ok(self.counted(answer.unwrap_or(Ok(None))))
    }

    /// Lets the agent drive generation; what it returns ends the answer.
    pub fn run(
        &mut self,
        request: Request,
        prompt: Prompt,
    ) -> Result<Result<String, Reject>, Breach> {
        let index = self.program.exports.run;
        let answer = self.once(Hook::Run, index, (request, prompt), |raw| match raw {
            Ok(text) if String::len(&text) > MAX_ANSWER_BYTES => {
                Err(format!("the answer has {} bytes; it may have {MAX_ANSWER_BYTES}", text.len()))
            }
            Ok(text) => Ok(Ok(text)),
            Err(reject) => Reject::parse(reject).map(Err),
        })?;
        let missing = || Breach::plain(Hook::Run, BreachKind::Host, "the program is no agent");
        Ok(self.counted(answer.ok_or_else(missing)?))
    }

    /// Time that hooks of this request have taken.
    pub fn spent(&self) -> Duration {
        self.guest.as_ref().map_or(Duration::ZERO, |guest| guest.spent)
    }

    /// Whether the request goes on without its program.
    pub fn is_skipped(&self) -> bool {
        self.guest.is_none()
    }

    /// Linear memory that the instance holds.
    pub fn memory_bytes(&self) -> usize {
        self.guest.as_ref().map_or(0, |guest| guest.store.data().limiter.memory_bytes())
    }

    fn vocabulary(&self) -> u32 {
        self.program.host.tokenizer.vocabulary_size()
    }

    fn start(&mut self, seed: u64, agent: Option<Agent>) -> Result<(), Breach> {
        let program = &self.program;
        let limits = &program.terms.limits;
        let state = State::new(program.host.clone(), limits, seed, agent);
        let Timed { outcome, time } = Guest::start(&program.engine, &program.ready, limits, state);
        self.charge(Hook::Start, time);
        self.guest = Some(outcome?);
        Ok(())
    }

    /// A hook that is called once in a request.
    fn once<P, R, T>(
        &mut self,
        hook: Hook,
        index: Option<ComponentExportIndex>,
        params: P,
        parse: impl FnOnce(R) -> Result<T, Fault>,
    ) -> Result<Option<T>, Breach>
    where
        P: ComponentNamedList + Lower,
        (R,): ComponentNamedList + Lift,
    {
        self.call(hook, index, &mut None, params, parse)
    }

    /// Calls a hook; none when the program does not have it, or runs no more.
    fn call<P, R, T>(
        &mut self,
        hook: Hook,
        index: Option<ComponentExportIndex>,
        function: &mut Option<TypedFunc<P, (R,)>>,
        params: P,
        parse: impl FnOnce(R) -> Result<T, Fault>,
    ) -> Result<Option<T>, Breach>
    where
        P: ComponentNamedList + Lower,
        (R,): ComponentNamedList + Lift,
    {
        let (Some(index), Some(guest)) = (index, &mut self.guest) else { return Ok(None) };
        let function = match function {
            Some(known) => known,
            None => match guest.function(index) {
                Ok(found) => function.insert(found),
                Err(error) => {
                    let breach = Breach::plain(hook, BreachKind::Host, format!("{error:#}"));
                    return self.fail(breach).map(|()| None);
                }
            },
        };
        let limits = &self.program.terms.limits;
        let Timed { outcome, time } =
            guest.call(&self.program.engine, limits, hook, function, params);
        self.charge(hook, time);
        let parsed = outcome.and_then(|raw| {
            parse(raw).map_err(|fault| Breach::plain(hook, BreachKind::Answer, fault))
        });
        match parsed {
            Ok(answer) => Ok(Some(answer)),
            Err(breach) => self.fail(breach).map(|()| None),
        }
    }

    fn charge(&self, hook: Hook, time: Duration) {
        let now = self.program.host.clock.elapsed();
        let mut ledger = self.program.ledger();
        ledger.counters.call(hook, time);
        ledger.budget.spend(now, time);
    }

    /// Records a breach and ends the instance. An open policy lets the request go on.
    fn fail(&mut self, breach: Breach) -> Result<(), Breach> {
        let deserted = self.is_deserted();
        self.retire();
        let policy = if self.agent {
            FailurePolicy::Closed
        } else {
            self.program.terms.policies.of(breach.hook)
        };
        let now = self.program.host.clock.elapsed();
        let mut ledger = self.program.ledger();
        ledger.counters.breach(&breach);
        if breach.kind.is_fault() && !deserted {
            self.faulted = true;
            if ledger.breaker.failed(now) {
                ledger.counters.suspensions += 1;
            }
        }
        match policy {
            FailurePolicy::Closed => Err(breach),
            FailurePolicy::Open => {
                ledger.counters.skipped += 1;
                Ok(())
            }
        }
    }

    /// Whether the client of an agent has gone: how its run ends then is nobody's fault.
    fn is_deserted(&self) -> bool {
        let agent = self.guest.as_ref().and_then(|guest| guest.store.data().agent.as_ref());
        agent.is_some_and(|agent| agent.inference.cancelled())
    }

    fn counted<T>(&self, answer: Result<T, Reject>) -> Result<T, Reject> {
        if answer.is_err() {
            self.program.ledger().counters.rejected += 1;
        }
        answer
    }

    /// Ends the instance and keeps what it counted.
    fn retire(&mut self) {
        self.on_tokens = None;
        self.on_logits = None;
        let Some(guest) = self.guest.take() else { return };
        let state = guest.store.data();
        let (memory, dropped) = (state.limiter.memory_bytes(), state.allowance.log_dropped);
        let mut ledger = self.program.ledger();
        ledger.counters.memory_bytes_peak = ledger.counters.memory_bytes_peak.max(memory);
        ledger.counters.log_lines_dropped += dropped;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let ran = self.guest.is_some();
        self.retire();
        if ran && !self.faulted {
            self.program.ledger().breaker.succeeded();
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Run").field("skipped", &self.is_skipped()).finish_non_exhaustive()
    }
}
