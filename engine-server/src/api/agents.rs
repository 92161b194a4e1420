//! A request of a tenant whose program is an agent: what an agent cannot honour is refused by name, then the request is
//! counted like every other, and the agent's words become its answer.

use std::sync::Arc;

use realm_sandbox::Program;

use crate::{
    agent::{AgentOrder, Workshop},
    api::{
        answers::Answers,
        completion_request::Extras,
        error::ApiError,
        guided::{Asked, has_calls, shown},
        place::{Place, beside},
        prepare::{Order, PromptSource, prompt_length},
    },
};

/// Starts the agent. Returns its answer, and the tokens of the prompt.
pub(super) async fn begin(
    place: Place<'_>,
    order: Order,
    program: Arc<Program>,
) -> Result<(Answers, usize), ApiError> {
    refuse(&order)?;
    let Place { state, context, tenant, loaded } = place;
    let room = place.room();
    let request = Asked::new(state, context, tenant).request(&order);
    let prompt = shown(&order)?;
    let model = Arc::clone(&loaded.model);
    let counting = beside("preparing the prompt", move || {
        let prompt_tokens = prompt_length(&order, &model, room)?;
        Ok::<_, ApiError>((order, prompt_tokens))
    });
    let (order, prompt_tokens) = counting.await??;
    let asked = order.generation.max_tokens;
    let lease = place.take_turn(prompt_tokens, asked).await?;
    let workshop = Workshop {
        model: Arc::clone(&loaded.model),
        constraints: Arc::clone(&loaded.constraints),
        scheduler: loaded.scheduler.clone(),
        metrics: state.metrics().clone(),
        labels: place.labels(),
    };
    let order = AgentOrder {
        program,
        request,
        prompt,
        prompt_tokens,
        sampling: order.generation.sampling,
        stop: order.generation.stop,
        max_tokens: asked.unwrap_or(room.default_output_tokens),
        context_length: room.context_length,
        tenant: Arc::clone(tenant),
        lease,
    };
    let agent = state.agents().start(order, workshop)?;
    Ok((Answers::of_agent(agent, place.around()), prompt_tokens))
}

/// An agent writes one answer, as text: what asks for anything else is refused, never left out.
fn refuse(order: &Order) -> Result<(), ApiError> {
    if order.generation.choices > 1 {
        return Err(refused("n"));
    }
    if order.top_logprobs.is_some() {
        return Err(refused("logprobs"));
    }
    let Extras { echo, ranked, scores, suffix } = &order.extras;
    let extras = [
        ("echo", *echo || scores.prompt.is_some()),
        ("best_of", *ranked),
        ("suffix", suffix.is_some()),
    ];
    if let Some((field, _)) = extras.into_iter().find(|(_, asked)| *asked) {
        return Err(refused(field));
    }
    if let Some(structure) = &order.structure {
        return Err(refused(&structure.field));
    }
    let PromptSource::Chat { turns, tools } = &order.source else { return Ok(()) };
    if tools.is_some() {
        return Err(refused("tools"));
    }
    match turns.iter().position(has_calls) {
        Some(index) => Err(refused(&format!("messages[{index}]"))),
        None => Ok(()),
    }
}

fn refused(field: &str) -> ApiError {
    let message = format!(
        "`{field}`: the tenant's program is an agent, which gives one answer alone, without calls, probabilities or a form \
         that the server enforces; remove it"
    );
    ApiError::invalid(field, "unsupported_value", message)
}
