//! The way of a generating request, the same for every endpoint: enter, name a model, prepare, queue, answer.

use std::sync::Arc;

use axum::{http::HeaderMap, response::Response};
use jiff::Timestamp;
use realm_sandbox::{Hook, Program};

use crate::{
    admission::authenticate,
    api::{
        agents,
        answers::Answers,
        context::RequestContext,
        echo::Echo,
        error::ApiError,
        generation::Delivery,
        guided::{Asked, Guided, guide, program_of},
        openai::Head,
        place::{Place, beside, limit_reached},
        prepare::{Order, Prepared, prepare},
        sse::{self, StreamOptions},
        tools::ToolSyntax,
        whole,
        wire::Wire,
    },
    health::Status,
    metrics::ReasonLabels,
    state::{AppState, Loaded},
    tenant::Tenant,
};

/// Names the tenant of a request, or refuses it.
pub(super) fn enter(
    state: &AppState,
    context: &RequestContext,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    match authenticate(headers, &state.serving().tenants, Timestamp::now()) {
        Ok(tenant) => {
            context.set_tenant(Arc::clone(&tenant));
            count_request(state, context, &tenant)
        }
        Err(refusal) => {
            state
                .metrics()
                .auth_failures
                .get_or_create(&ReasonLabels { reason: refusal.reason() })
                .inc();
            Err(refusal.into())
        }
    }
}

/// Counts a request against the tenant's limit.
fn count_request(
    state: &AppState,
    context: &RequestContext,
    tenant: &Tenant,
) -> Result<(), ApiError> {
    if !context.route().is_limited() {
        return Ok(());
    }
    let account = state.ledger().account(&tenant.id);
    account
        .request(tenant, Timestamp::now())
        .map_err(|exceeded| limit_reached(state, context, tenant, exceeded))
}

/// The open model, when requests are answered.
pub(super) fn ready(state: &AppState) -> Result<&Loaded, ApiError> {
    let health = state.health();
    if let (true, Some(loaded)) = (health.accepts(), state.loaded()) {
        return Ok(loaded);
    }
    state.metrics().rejections.get_or_create(&ReasonLabels { reason: "unavailable" }).inc();
    Err(unavailable(health.status()))
}

/// Refuses a name that this server does not answer to.
pub(super) fn check_model(state: &AppState, name: &str) -> Result<(), ApiError> {
    let serving = state.serving();
    if serving.answers_to(name) {
        Ok(())
    } else {
        Err(ApiError::unknown_model(name, serving.names()))
    }
}

/// The same where a request need not name its model.
pub(super) fn check_named(state: &AppState, name: Option<&str>) -> Result<(), ApiError> {
    name.map_or(Ok(()), |name| check_model(state, name))
}

/// The part of an answer's documents that says where it comes from.
pub(super) fn head(
    state: &AppState,
    loaded: &Loaded,
    id_prefix: &str,
    object: &'static str,
) -> Head {
    let digest = loaded.digest.get(..12).unwrap_or(&loaded.digest);
    Head {
        id: format!("{id_prefix}-{}", uuid::Uuid::now_v7().simple()),
        object,
        created: Timestamp::now().as_second().max(0) as u64,
        model: state.serving().config.served_name.clone(),
        system_fingerprint: format!("realm-{}-{digest}", env!("CARGO_PKG_VERSION")),
    }
}

/// A seed for a request that names none.
pub(super) fn random_seed() -> Result<u64, ApiError> {
    getrandom::u64().map_err(|error| {
        tracing::error!(%error, "the operating system gives no random numbers");
        ApiError::internal("the operating system gives no random numbers; send a `seed`")
    })
}

/// Generates and delivers. `wire` makes the endpoint's documents for the way of delivery.
pub(super) async fn answer<W: Wire>(
    state: &AppState,
    context: RequestContext,
    order: Order,
    mut wire: W,
) -> Result<Response, ApiError> {
    let delivery = order.generation.delivery;
    let Begun { answers, prompt_tokens, syntax, echoes } = begin(state, &context, order).await?;
    wire.expect(answers.count(), syntax);
    wire.echo(echoes);
    match delivery {
        Delivery::Whole => whole::respond(wire, answers, prompt_tokens).await,
        Delivery::Stream { include_usage } => {
            let keep_alive = state.limits().stream_keep_alive;
            let options = StreamOptions { include_usage, prompt_tokens, keep_alive };
            Ok(sse::respond(wire, answers, options, context))
        }
    }
}

/// A request whose sequences are queued, or whose agent runs.
struct Begun {
    answers: Answers,
    prompt_tokens: usize,
    syntax: Option<ToolSyntax>,
    echoes: Vec<Echo>,
}

async fn begin(
    state: &AppState,
    context: &RequestContext,
    order: Order,
) -> Result<Begun, ApiError> {
    let place = Place::new(state, context, ready(state)?)?;
    match program_of(state, place.tenant)? {
        Some(program) if program.has(Hook::Run) => {
            let (answers, prompt_tokens) = agents::begin(place, order, program).await?;
            Ok(Begun { answers, prompt_tokens, syntax: None, echoes: Vec::new() })
        }
        program => begin_sequences(place, order, program).await,
    }
}

async fn begin_sequences(
    place: Place<'_>,
    order: Order,
    program: Option<Arc<Program>>,
) -> Result<Begun, ApiError> {
    let Place { state, context, tenant, loaded } = place;
    let told = Asked::new(state, context, tenant);
    let asked = order.generation.max_tokens.is_some();
    let model = Arc::clone(&loaded.model);
    let constraints = Arc::clone(&loaded.constraints);
    let programs = state.programs().clone();
    let room = place.room();
    let preparing = beside("preparing the prompt", move || {
        let guided = match program {
            Some(program) => guide(&programs, &program, order, &told)?,
            None => Guided::plain(order),
        };
        let mut prepared = prepare(&guided.order, &model, &constraints, room)?;
        let mut filters = Vec::new();
        for (sequence, hand) in prepared.sequences.iter_mut().zip(guided.hands) {
            sequence.logit_hook = hand.logit_hook;
            filters.push(hand.filter);
        }
        Ok::<_, ApiError>((prepared, filters))
    });
    let (prepared, filters) = preparing.await??;
    let answer = prepared.sequences.iter().map(|sequence| sequence.max_tokens).sum();
    let lease = place.take_turn(prepared.prompt_tokens, asked.then_some(answer)).await?;
    let Prepared { sequences, prompt_tokens, syntax, echoes } = prepared;
    let receivers = place.queued(loaded.scheduler.submit(tenant, sequences))?;
    let around = place.around();
    let counter = around.metrics.prompt_tokens.get_or_create_owned(&around.labels);
    counter.inc_by(prompt_tokens as u64);
    let answers = Answers::new(receivers, filters, lease, around);
    Ok(Begun { answers, prompt_tokens, syntax, echoes })
}

fn unavailable(status: Status) -> ApiError {
    match status {
        Status::Loading | Status::Ok => {
            ApiError::unavailable("loading", "the model is still loading; try again soon")
        }
        Status::Draining => {
            ApiError::unavailable("draining", "the server is stopping; send the request again")
                .closing()
        }
        Status::Failed => {
            ApiError::unavailable("failed", "the server has failed and is about to be replaced")
        }
    }
}
