//! One instance and the calls into it: the deadline set, the time taken, and every way to fail translated.

use std::time::Duration;

use wasmtime::{
    Error, PoolConcurrencyLimitError, Store, Trap, UpdateDeadline,
    component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc},
};

use crate::{
    breach::{Breach, BreachKind, Hook},
    engine::Engine,
    limits::{Limits, STACK_BYTES},
    state::{Call, State, Violation, ticks},
};

/// How wasmtime says that a call sent too many bytes; its error has no type.
const CROSSING_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// A running instance.
pub(crate) struct Guest {
    pub(crate) store: Store<State>,
    instance: Instance,
    /// Time of all calls so far.
    pub(crate) spent: Duration,
}

/// How one call went, and how long it took.
pub(crate) struct Timed<T> {
    pub(crate) outcome: Result<T, Breach>,
    pub(crate) time: Duration,
}

impl Guest {
    /// A fresh instance with that state.
    pub(crate) fn start(
        engine: &Engine,
        ready: &wasmtime::component::InstancePre<State>,
        limits: &Limits,
        state: State,
    ) -> Timed<Self> {
        let mut store = Store::new(engine.inner(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.crossing_bytes);
        store.epoch_deadline_callback(|context| {
            let more = context.data().call.ticks_more();
            Ok(more.map_or(UpdateDeadline::Interrupt, UpdateDeadline::Continue))
        });
        let result =
            timed(engine, &mut store, limits.deadlines.start, |store| ready.instantiate(store));
        let time = result.1;
        let outcome = match result.0 {
            Ok(instance) => Ok(Self { store, instance, spent: time }),
            Err(error) => Err(Fault { hook: Hook::Start, limits, spent_before: Duration::ZERO }
                .breach(&error, &store)),
        };
        Timed { outcome, time }
    }

    /// Looks a hook's function up and checks its type.
    pub(crate) fn function<P, R>(
        &mut self,
        index: ComponentExportIndex,
    ) -> Result<TypedFunc<P, R>, Error>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        self.instance.get_typed_func(&mut self.store, index)
    }

    /// Calls a hook within its deadline and what the request has left.
    pub(crate) fn call<P, R>(
        &mut self,
        engine: &Engine,
        limits: &Limits,
        hook: Hook,
        function: &TypedFunc<P, (R,)>,
        params: P,
    ) -> Timed<R>
    where
        P: ComponentNamedList + Lower,
        (R,): ComponentNamedList + Lift,
    {
        let fault = Fault { hook, limits, spent_before: self.spent };
        let deadline = fault.deadline();
        if deadline.is_zero() {
            let breach =
                Breach::time(hook, BreachKind::RequestTime, limits.request_time, self.spent);
            return Timed { outcome: Err(breach), time: Duration::ZERO };
        }
        let (result, time) =
            timed(engine, &mut self.store, deadline, |store| function.call(store, params));
        self.spent += time;
        let outcome = match result {
            Ok((answer,)) => Ok(answer),
            Err(error) => Err(fault.breach(&error, &self.store)),
        };
        Timed { outcome, time }
    }
}

/// Runs guest code under a deadline; returns the time that the guest itself took.
fn timed<T>(
    engine: &Engine,
    store: &mut Store<State>,
    deadline: Duration,
    work: impl FnOnce(&mut Store<State>) -> Result<T, Error>,
) -> (Result<T, Error>, Duration) {
    let running = engine.enter();
    store.data_mut().call = Call::begin(deadline);
    store.set_epoch_deadline(ticks(deadline));
    let result = work(store);
    drop(running);
    let spent = store.data().call.spent();
    (result, spent)
}

/// What is needed to say what went wrong.
#[derive(Clone, Copy)]
struct Fault<'a> {
    hook: Hook,
    limits: &'a Limits,
    spent_before: Duration,
}

impl Fault<'_> {
    /// The hook's deadline, or what the request has left if that is less. An agent's is its own.
    fn deadline(&self) -> Duration {
        let own = self.limits.deadlines.of(self.hook);
        match self.hook {
            Hook::Run => own,
            _ => own.min(self.limits.request_time.saturating_sub(self.spent_before)),
        }
    }

    fn breach(&self, error: &Error, store: &Store<State>) -> Breach {
        let hook = self.hook;
        if let Some(violation) = error.downcast_ref::<Violation>() {
            return Breach {
                hook,
                kind: violation.kind,
                limit: violation.limit,
                spent: violation.spent,
                detail: violation.detail.clone(),
            };
        }
        if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
            return Breach::plain(hook, BreachKind::Busy, "");
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => return self.late(store.data().call.spent()),
            Some(Trap::StackOverflow) => {
                let bytes = STACK_BYTES as u64;
                return Breach::count(hook, BreachKind::Stack, bytes, bytes);
            }
            _ => {}
        }
        if let Some((kind, limit, wanted)) = store.data().limiter.denied {
            return Breach::count(hook, kind, limit, wanted);
        }
        let text = format!("{error:#}");
        if text.contains(CROSSING_EXHAUSTED) {
            let limit = self.limits.crossing_bytes as u64;
            return Breach::count(hook, BreachKind::Crossing, limit, limit);
        }
        match (error.downcast_ref::<Trap>(), hook) {
            (Some(trap), _) => Breach::plain(hook, BreachKind::Trap, trap.to_string()),
            (None, Hook::Start) => Breach::plain(hook, BreachKind::Host, text),
            (None, _) => Breach::plain(hook, BreachKind::Answer, text),
        }
    }

    fn late(&self, spent: Duration) -> Breach {
        let deadline = self.deadline();
        if deadline < self.limits.deadlines.of(self.hook) {
            let total = self.spent_before + spent;
            return Breach::time(
                self.hook,
                BreachKind::RequestTime,
                self.limits.request_time,
                total,
            );
        }
        Breach::time(self.hook, BreachKind::Deadline, deadline, spent)
    }
}
