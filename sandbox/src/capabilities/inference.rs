//! The model for agents. Handles are numbers that the store's own handle table checks. Waiting for the model or the
//! client is not the guest's time, tokenizing for it is; what the model takes of tokens is the guest's.

use std::time::Instant;

use wasmtime::{
    StoreContextMut,
    component::{LinkerInstance, Resource, ResourceType},
};

use crate::{
    breach::BreachKind,
    host::{Inference, SpanRequest},
    plan::{check_messages, check_span},
    state::{Agent, ModelContext, State, Violation},
    wire::{Candidate, Constraint, InferenceFailure, Message, RawSpan, Sampling},
};

type Context<'a> = StoreContextMut<'a, State>;
type Handle = Resource<ModelContext>;
type Answer<T> = Result<T, InferenceFailure>;

/// Likeliest tokens that a guest may ask for.
const MAX_TOP: u32 = 1024;
/// Texts to score in one call.
const MAX_SCORED: usize = 64;

pub(super) fn link(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    link_contexts(instance)?;
    link_reading(instance)?;
    link_generation(instance)?;
    instance.func_wrap("emit", |store: Context<'_>, (text,): (String,)| {
        in_host(store, |state| emit(state, &text))
    })?;
    instance.func_wrap("cancelled", |store: Context<'_>, (): ()| {
        at_once(store, |state| Ok(agent(state)?.inference.cancelled()))
    })
}

/// Making and ending contexts.
fn link_contexts(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.resource("context", ResourceType::host::<ModelContext>(), |mut store, number| {
        if let Some(agent) = &mut store.data_mut().agent {
            agent.contexts = agent.contexts.saturating_sub(1);
            agent.inference.close(u64::from(number));
        }
        Ok(())
    })?;
    instance.func_wrap("[constructor]context", |store: Context<'_>, (): ()| {
        at_once(store, |state| match opened(state, |model| model.open())? {
            Ok(handle) => Ok(handle),
            Err(failure) => Err(no_context(failure)),
        })
    })?;
    instance.func_wrap("[method]context.fork", |store: Context<'_>, (of,): (Handle,)| {
        at_once(store, |state| opened(state, |model| model.fork(number(&of))))
    })
}

/// What a context reads and how long it is.
fn link_reading(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "[method]context.append-text",
        |store: Context<'_>, (to, text): (Handle, String)| {
            at_once(store, |state| {
                let tokens = agent(state)?.inference.encode(number(&to), &text);
                append(state, &to, &tokens)
            })
        },
    )?;
    instance.func_wrap(
        "[method]context.append-chat",
        |store: Context<'_>, (to, messages): (Handle, Vec<Message>)| {
            at_once(store, |state| append_chat(state, &to, &messages))
        },
    )?;
    instance.func_wrap(
        "[method]context.append-tokens",
        |store: Context<'_>, (to, tokens): (Handle, Vec<u32>)| {
            at_once(store, |state| {
                let size = state.host.tokenizer.vocabulary_size();
                if tokens.iter().any(|token| *token >= size) {
                    Ok(Err(InferenceFailure::Refused))
                } else {
                    append(state, &to, &tokens)
                }
            })
        },
    )?;
    instance.func_wrap(
        "[method]context.truncate",
        |store: Context<'_>, (of, length): (Handle, u32)| {
            at_once(store, |state| Ok(agent(state)?.inference.truncate(number(&of), length)))
        },
    )?;
    instance.func_wrap("[method]context.length", |store: Context<'_>, (of,): (Handle,)| {
        at_once(store, |state| Ok(agent(state)?.inference.length(number(&of))))
    })
}

type GenerateParams = (Handle, u32, Sampling, Option<Constraint>, Vec<String>);

/// What the model says.
fn link_generation(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "[method]context.generate",
        |store: Context<'_>, (of, max_tokens, sampling, constraint, stop): GenerateParams| {
            let how = SpanRequest { max_tokens, sampling, constraint, stop };
            in_host(store, |state| generate(state, &of, how))
        },
    )?;
    instance.func_wrap(
        "[method]context.top",
        |store: Context<'_>, (of, count): (Handle, u32)| {
            in_host(store, |state| -> wasmtime::Result<Answer<Vec<Candidate>>> {
                if count == 0 || count > MAX_TOP {
                    return Ok(Err(InferenceFailure::Refused));
                }
                Ok(agent(state)?.inference.top(number(&of), count))
            })
        },
    )?;
    instance.func_wrap(
        "[method]context.score",
        |store: Context<'_>, (of, texts): (Handle, Vec<String>)| {
            in_host(store, |state| score(state, &of, &texts))
        },
    )
}

/// Runs a call that waits for nobody, on the guest's own time.
fn at_once<T>(
    mut store: Context<'_>,
    work: impl FnOnce(&mut State) -> wasmtime::Result<T>,
) -> wasmtime::Result<(T,)> {
    let state = store.data_mut();
    state.allowance.operation()?;
    Ok((work(state)?,))
}

/// Runs a call that may wait for the model or the client, on the host's time: the guest's deadline moves by what the
/// call takes, and the whole run has one of its own.
fn in_host<T>(
    mut store: Context<'_>,
    work: impl FnOnce(&mut State) -> wasmtime::Result<T>,
) -> wasmtime::Result<(T,)> {
    let began = Instant::now();
    let state = store.data_mut();
    state.allowance.operation()?;
    let answer = work(state);
    state.call.in_host += began.elapsed();
    state.allowance.still_in_time(state.call.began)?;
    let ticks = state.call.ticks_left();
    store.set_epoch_deadline(ticks);
    Ok((answer?,))
}

fn agent(state: &mut State) -> wasmtime::Result<&mut Agent> {
    match &mut state.agent {
        Some(agent) => Ok(agent),
        None => Err(wasmtime::Error::msg("inference is for the agent's `run` only")),
    }
}

fn number(handle: &Handle) -> u64 {
    u64::from(handle.rep())
}

fn opened(
    state: &mut State,
    open: impl FnOnce(&mut dyn Inference) -> Answer<u64>,
) -> wasmtime::Result<Answer<Handle>> {
    let limit = state.allowance.contexts_limit;
    let agent = agent(state)?;
    if agent.contexts >= limit {
        return Ok(Err(InferenceFailure::Budget));
    }
    let answer = open(agent.inference.as_mut());
    let Ok(number) =
        answer.and_then(|number| u32::try_from(number).map_err(|_| InferenceFailure::Unavailable))
    else {
        return Ok(Err(answer.err().unwrap_or(InferenceFailure::Unavailable)));
    };
    agent.contexts += 1;
    Ok(Ok(Resource::new_own(number)))
}

/// A constructor cannot fail in the interface; without a context the agent ends.
fn no_context(failure: InferenceFailure) -> wasmtime::Error {
    let kind = match failure {
        InferenceFailure::Budget => BreachKind::Tokens,
        _ => BreachKind::Host,
    };
    Violation { kind, limit: 0, spent: 0, detail: format!("no context of the model: {failure:?}") }
        .into()
}

/// Takes tokens from the request's budget.
fn pay(state: &mut State, tokens: usize) -> wasmtime::Result<Answer<()>> {
    let limit = state.allowance.tokens_limit;
    let agent = agent(state)?;
    let wanted = agent.tokens.saturating_add(tokens as u64);
    if wanted > limit {
        return Ok(Err(InferenceFailure::Budget));
    }
    agent.tokens = wanted;
    Ok(Ok(()))
}

fn append(state: &mut State, to: &Handle, tokens: &[u32]) -> wasmtime::Result<Answer<u32>> {
    if let Err(failure) = pay(state, tokens.len())? {
        return Ok(Err(failure));
    }
    Ok(agent(state)?.inference.append(number(to), tokens))
}

fn append_chat(
    state: &mut State,
    to: &Handle,
    messages: &[Message],
) -> wasmtime::Result<Answer<u32>> {
    if check_messages(messages).is_err() {
        return Ok(Err(InferenceFailure::Refused));
    }
    match agent(state)?.inference.render(messages) {
        Ok(tokens) => append(state, to, &tokens),
        Err(failure) => Ok(Err(failure)),
    }
}

fn generate(
    state: &mut State,
    of: &Handle,
    mut how: SpanRequest,
) -> wasmtime::Result<Answer<RawSpan>> {
    if check_span(&how.sampling, how.constraint.as_ref(), &how.stop).is_err() {
        return Ok(Err(InferenceFailure::Refused));
    }
    let limit = state.allowance.tokens_limit;
    let agent = agent(state)?;
    let left = limit.saturating_sub(agent.tokens);
    how.max_tokens = how.max_tokens.min(u32::try_from(left).unwrap_or(u32::MAX));
    if how.max_tokens == 0 {
        return Ok(Err(InferenceFailure::Budget));
    }
    Ok(agent.inference.generate(number(of), how).map(|span| {
        agent.tokens += span.tokens.len() as u64;
        RawSpan { text: span.text, tokens: span.tokens, why: span.why }
    }))
}

fn score(state: &mut State, of: &Handle, texts: &[String]) -> wasmtime::Result<Answer<Vec<f32>>> {
    if texts.len() > MAX_SCORED {
        return Ok(Err(InferenceFailure::Refused));
    }
    let mut scores = Vec::with_capacity(texts.len());
    for text in texts {
        let tokens = state.host.tokenizer.encode(text);
        if let Err(failure) = pay(state, tokens.len())? {
            return Ok(Err(failure));
        }
        match agent(state)?.inference.score(number(of), &tokens) {
            Ok(score) => scores.push(score),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    Ok(Ok(scores))
}

fn emit(state: &mut State, text: &str) -> wasmtime::Result<Answer<()>> {
    let wanted = state.allowance.emitted.saturating_add(text.len());
    let limit = state.allowance.emitted_limit;
    if wanted > limit {
        return Err(Violation {
            kind: BreachKind::Output,
            limit: limit as u64,
            spent: wanted as u64,
            detail: String::new(),
        }
        .into());
    }
    state.allowance.emitted = wanted;
    Ok(agent(state)?.inference.emit(text))
}
