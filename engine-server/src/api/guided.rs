//! A tenant's program and a request: the program is asked before anything is computed, its plan becomes part of the
//! order, and each answer gets a filter if the plan wants one. The guest runs beside the async threads and never beside
//! the step loop.

use std::sync::Arc;

use realm_engine::chat_template::Turn;
use realm_sandbox::{
    Hook, Program, Run, SharedRun,
    filter::Filter,
    plan::Plan,
    wire::{Constraint, Message, Prompt as Shown, Request},
};

use crate::{
    api::{
        completion_request::Prompt,
        context::RequestContext,
        error::ApiError,
        generation::{MAX_LOGIT_BIAS, MAX_STOP_STRINGS},
        prepare::{Order, PromptSource},
        structured::Structure,
    },
    program::{LogitHook, Programs, Standing, grammar},
    state::AppState,
    tenant::Tenant,
};

/// What a program is told of a request beside the request itself.
#[derive(Debug)]
pub(super) struct Asked {
    /// Id of the request.
    pub id: String,
    /// The tenant.
    pub tenant: String,
    /// Name of the model.
    pub model: String,
    /// Headers that are meant for it.
    pub headers: Vec<(String, String)>,
    /// Tokens of an answer whose request names no maximum.
    pub default_output_tokens: usize,
}

/// An order after its program has seen it.
#[derive(Debug)]
pub(super) struct Guided {
    /// What is computed.
    pub order: Order,
    /// For each answer, what the program has a hand in; empty when it has in none.
    pub hands: Vec<Hand>,
}

/// What a program does with one answer while it is made.
#[derive(Debug, Default)]
pub(super) struct Hand {
    /// What the answer's text passes through.
    pub filter: Option<Filter>,
    /// What has a say in each of its tokens.
    pub logit_hook: Option<LogitHook>,
}

impl Guided {
    /// An order without a program.
    pub(super) fn plain(order: Order) -> Self {
        Self { order, hands: Vec::new() }
    }
}

/// The tenant's program, when it has one that runs.
pub(super) fn program_of(
    state: &AppState,
    tenant: &Tenant,
) -> Result<Option<Arc<Program>>, ApiError> {
    let Some(found) = state.programs().of(&tenant.id) else { return Ok(None) };
    match found.standing {
        Standing::Ready(program) => Ok(Some(program)),
        _ if found.open => Ok(None),
        Standing::Preparing => {
            let message = "the tenant's program is being prepared; try again soon";
            Err(ApiError::unavailable("program_preparing", message))
        }
        Standing::Refused(reason) => {
            let message = format!("the tenant's program is not used: {reason}");
            Err(ApiError::unavailable("program_refused", message))
        }
    }
}

impl Asked {
    /// About that request.
    pub(super) fn new(state: &AppState, context: &RequestContext, tenant: &Tenant) -> Self {
        Self {
            id: context.id().to_owned(),
            tenant: tenant.id.to_string(),
            model: state.serving().config.served_name.clone(),
            headers: context.program_headers().to_vec(),
            default_output_tokens: state.limits().default_output_tokens,
        }
    }

    /// The request as the program is told of it.
    pub(super) fn request(&self, order: &Order) -> Request {
        let max_tokens = order.generation.max_tokens.unwrap_or(self.default_output_tokens);
        Request {
            id: self.id.clone(),
            model: self.model.clone(),
            tenant: self.tenant.clone(),
            endpoint: match order.source {
                PromptSource::Chat { .. } => "chat",
                PromptSource::Prompts(_) => "completions",
            }
            .to_owned(),
            headers: self.headers.clone(),
            max_tokens: u32::try_from(max_tokens).unwrap_or(u32::MAX),
            seed: seed(order),
        }
    }
}

/// Asks the program and applies its plan. Takes up to the program's deadlines.
pub(super) fn guide(
    programs: &Programs,
    program: &Arc<Program>,
    mut order: Order,
    asked: &Asked,
) -> Result<Guided, ApiError> {
    check_shown(&order)?;
    let mut run = program.begin(seed(&order))?;
    let plan = run.on_request(asked.request(&order), shown(&order)?)??;
    apply(&plan, &mut order, asked)?;
    let hands = hands(programs, program, run, &plan, &order)?;
    check_ranking(&order, &hands)?;
    Ok(Guided { order, hands })
}

/// A request always has a seed by now: the client's, or a random one.
fn seed(order: &Order) -> u64 {
    order.generation.sampling.seed.unwrap_or_default()
}

/// The prompt as the program sees it.
pub(super) fn shown(order: &Order) -> Result<Shown, ApiError> {
    match &order.source {
        PromptSource::Chat { turns, .. } => Ok(Shown::Chat(
            turns
                .iter()
                .map(|turn| Message {
                    role: turn.role.clone(),
                    content: turn.content.clone().unwrap_or_default(),
                })
                .collect(),
        )),
        PromptSource::Prompts(prompts) => match prompts.as_slice() {
            [Prompt::Text(text)] => Ok(Shown::Text(text.clone())),
            [Prompt::Tokens(tokens)] => Ok(Shown::Tokens(tokens.clone())),
            several => {
                let message = format!(
                    "`prompt` has {} prompts; a tenant with a program sends one in a request",
                    several.len()
                );
                Err(ApiError::invalid("prompt", "invalid_value", message))
            }
        },
    }
}

fn apply(plan: &Plan, order: &mut Order, asked: &Asked) -> Result<(), ApiError> {
    check_executed(plan, asked)?;
    if let Some(constraint) = &plan.constraint {
        order.structure = Some(structure(constraint)?);
    }
    if let Some(prompt) = &plan.prompt {
        check_own_prompt(order)?;
        order.source = source(prompt, &order.source)?;
    }
    let generation = &mut order.generation;
    let (sampling, wanted) = (&mut generation.sampling, &plan.sampling);
    sampling.temperature = wanted.temperature.unwrap_or(sampling.temperature);
    sampling.top_p = wanted.top_p.unwrap_or(sampling.top_p);
    sampling.top_k = wanted.top_k.unwrap_or(sampling.top_k);
    sampling.min_p = wanted.min_p.unwrap_or(sampling.min_p);
    sampling.logit_bias.extend(&plan.bias);
    sampling.logit_bias.truncate(2 * MAX_LOGIT_BIAS);
    generation.stop.extend(plan.stop.iter().cloned());
    generation.stop.truncate(2 * MAX_STOP_STRINGS);
    if let Some(most) = plan.max_tokens {
        let asked_for = generation.max_tokens.unwrap_or(asked.default_output_tokens);
        generation.max_tokens = Some(asked_for.min(most as usize));
    }
    Ok(())
}

/// What a plan may say but this server does not do is refused by name, never left out.
fn check_executed(plan: &Plan, asked: &Asked) -> Result<(), ApiError> {
    if let Some(route) = plan.route.as_ref().filter(|route| **route != asked.model) {
        return Err(ApiError::unexecuted(&format!(
            "the tenant's program routes to the model `{route}`, which this server does not serve"
        )));
    }
    Ok(())
}

/// A program sees a text or a conversation, and no end behind it.
fn check_shown(order: &Order) -> Result<(), ApiError> {
    if order.extras.suffix.is_none() {
        return Ok(());
    }
    let message = "`suffix` cannot be used here: the tenant's program would not see it";
    Err(ApiError::invalid("suffix", "unsupported_value", message))
}

/// What a filter takes away takes the probabilities with it.
fn check_ranking(order: &Order, hands: &[Hand]) -> Result<(), ApiError> {
    if !order.extras.ranked || hands.iter().all(|hand| hand.filter.is_none()) {
        return Ok(());
    }
    let message = "`best_of` cannot be more than `n` here: the tenant's program changes answers";
    Err(ApiError::invalid("best_of", "unsupported_value", message))
}

/// A prompt that the program has rewritten is not the client's to see.
fn check_own_prompt(order: &Order) -> Result<(), ApiError> {
    if !order.extras.echo {
        return Ok(());
    }
    let message = "`echo` cannot be used here: the tenant's program rewrites the prompt";
    Err(ApiError::invalid("echo", "unsupported_value", message))
}

/// What the program wants the answer to be; it takes the place of what the client asked for.
fn structure(constraint: &Constraint) -> Result<Structure, ApiError> {
    let grammar = grammar(constraint).map_err(|error| {
        let message = format!("the constraint of the tenant's program cannot be used: {error}");
        ApiError::unexecuted(&message)
    })?;
    Ok(Structure { field: "the tenant's program: constraint".to_owned(), grammar })
}

/// The program's prompt in the place of the client's; what the model may call stays. A program sees no calls, so it
/// cannot rewrite a conversation that has some without losing them.
fn source(prompt: &Shown, before: &PromptSource) -> Result<PromptSource, ApiError> {
    let messages = match prompt {
        Shown::Text(text) => return Ok(PromptSource::Prompts(vec![Prompt::Text(text.clone())])),
        Shown::Tokens(tokens) => {
            return Ok(PromptSource::Prompts(vec![Prompt::Tokens(tokens.clone())]));
        }
        Shown::Chat(messages) => messages,
    };
    let tools = match before {
        PromptSource::Chat { turns, .. } if turns.iter().any(has_calls) => {
            return Err(ApiError::unexecuted(
                "the tenant's program rewrites a conversation in which tools were called, which this server does not do",
            ));
        }
        PromptSource::Chat { tools, .. } => tools.clone(),
        PromptSource::Prompts(_) => None,
    };
    let turn = |message: &Message| Turn {
        role: message.role.clone(),
        content: Some(message.content.clone()),
        tool_calls: Vec::new(),
        tool_call_id: None,
        name: None,
    };
    Ok(PromptSource::Chat { turns: messages.iter().map(turn).collect(), tools })
}

/// Whether a turn calls tools or answers a call.
pub(super) fn has_calls(turn: &Turn) -> bool {
    !turn.tool_calls.is_empty() || turn.tool_call_id.is_some()
}

/// Each answer has an instance of its own, so that answers do not see each other; the first goes on with the one that
/// saw the request.
fn hands(
    programs: &Programs,
    program: &Arc<Program>,
    run: Run,
    plan: &Plan,
    order: &Order,
) -> Result<Vec<Hand>, ApiError> {
    let first = hand(programs, program, run, plan)?;
    if first.filter.is_none() && first.logit_hook.is_none() {
        return Ok(Vec::new());
    }
    let mut hands = vec![first];
    for choice in 1..order.generation.choices {
        let run = program.begin(seed(order).wrapping_add(choice as u64))?;
        hands.push(hand(programs, program, run, plan)?);
    }
    Ok(hands)
}

fn hand(
    programs: &Programs,
    program: &Arc<Program>,
    run: Run,
    plan: &Plan,
) -> Result<Hand, ApiError> {
    let run = SharedRun::from(run);
    let logit_hook = if plan.logits && program.has(Hook::OnLogits) {
        let hook = programs.logit_hook(program, run.clone(), plan.top as usize);
        Some(hook.map_err(|error| {
            tracing::error!(%error, "no thread to ask programs about candidates");
            ApiError::unavailable("overloaded", "the server cannot start a thread; try again later")
        })?)
    } else {
        None
    };
    Ok(Hand { filter: Filter::new(run, plan), logit_hook })
}
