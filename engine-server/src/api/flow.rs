//! The way of a generating request, the same for every endpoint: enter, name a model, prepare, queue, answer.

use std::sync::Arc;

use axum::{http::HeaderMap, response::Response};
use jiff::Timestamp;

use crate::{
    admission::{authenticate, exceeded::Exceeded, ledger::Lease},
    api::{
        answers::Answers,
        context::RequestContext,
        echo::Echo,
        error::ApiError,
        generation::Delivery,
        guided::{Asked, Guided, guide, program_of},
        openai::Head,
        prepare::{Order, Prepared, Room, prepare},
        sse::{self, StreamOptions},
        tools::ToolSyntax,
        whole,
        wire::Wire,
    },
    health::Status,
    metrics::{LimitLabels, ReasonLabels, TenantLabels},
    scheduler::event::{Failure, SubmitError},
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

/// Counts a refusal by a limit of the tenant.
fn limit_reached(
    state: &AppState,
    context: &RequestContext,
    tenant: &Tenant,
    exceeded: Exceeded,
) -> ApiError {
    tracing::debug!(request_id = context.id(), %exceeded, "refused by a limit");
    let labels = LimitLabels {
        tenant: tenant.label.clone(),
        model: state.serving().config.served_name.clone(),
        limit: exceeded.limit.field(),
    };
    state.metrics().limit_refusals.get_or_create(&labels).inc();
    exceeded.into()
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

/// What the server and the limits of the request's tenant leave for a prompt.
pub(super) fn room(
    state: &AppState,
    context: &RequestContext,
    loaded: &Loaded,
) -> Result<Room, ApiError> {
    let limits = &tenant_of(context)?.limits;
    Ok(Room::new(loaded.context_length, state.limits().default_output_tokens, limits))
}

/// Whose a request is that has entered.
pub(super) fn tenant_of(context: &RequestContext) -> Result<&Arc<Tenant>, ApiError> {
    context.tenant().ok_or_else(|| ApiError::internal("the request has no tenant"))
}

/// Computes beside the async threads.
pub(super) async fn beside<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, what, "work beside the async threads failed");
        ApiError::internal(format!("{what} failed; the cause is in the server's log"))
    })
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

/// A request whose sequences are queued.
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
    let loaded = ready(state)?;
    let tenant = tenant_of(context)?;
    let room = room(state, context, loaded)?;
    let program = program_of(state, tenant)?;
    let told = Asked::new(state, context, tenant);
    let asked = order.generation.max_tokens.is_some();
    let model = Arc::clone(&loaded.model);
    let constraints = Arc::clone(&loaded.constraints);
    let programs = state.programs().clone();
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
    let answer: usize = prepared.sequences.iter().map(|sequence| sequence.max_tokens).sum();
    let (prompt, answer) = (prepared.prompt_tokens as u64, if asked { answer as u64 } else { 0 });
    let lease = take_turn(state, context, loaded, prompt, answer).await?;
    let labels = TenantLabels {
        tenant: tenant.label.clone(),
        model: state.serving().config.served_name.clone(),
    };
    let Prepared { sequences, prompt_tokens, syntax, echoes } = prepared;
    let receivers = queued(state, context, loaded.scheduler.submit(tenant, sequences))?;
    state.metrics().prompt_tokens.get_or_create(&labels).inc_by(prompt_tokens as u64);
    let answers = Answers::new(
        receivers,
        filters,
        state.metrics().clone(),
        labels,
        context.clone(),
        loaded.scheduler.stopping().clone(),
        lease,
    );
    Ok(Begun { answers, prompt_tokens, syntax, echoes })
}

/// Counts what the queue refuses.
pub(super) fn queued<T>(
    state: &AppState,
    context: &RequestContext,
    submitted: Result<T, SubmitError>,
) -> Result<T, ApiError> {
    submitted.map_err(|error| {
        tracing::debug!(request_id = context.id(), %error, "not queued");
        state.metrics().rejections.get_or_create(&ReasonLabels { reason: "queue" }).inc();
        error.into()
    })
}

/// Counts the request's tokens and waits for its turn among the tenant's requests. `answer` is 0 when the request does not
/// name the length of its answers.
pub(super) async fn take_turn(
    state: &AppState,
    context: &RequestContext,
    loaded: &Loaded,
    prompt: u64,
    answer: u64,
) -> Result<Lease, ApiError> {
    let tenant = tenant_of(context)?;
    let reached = |exceeded| limit_reached(state, context, tenant, exceeded);
    let account = state.ledger().account(&tenant.id);
    let mut lease = account.open(tenant, Timestamp::now(), prompt, answer).map_err(reached)?;
    tokio::select! {
        turn = lease.turn() => turn.map_err(reached)?,
        () = loaded.scheduler.stopping().cancelled() => return Err(Failure::Stopping.into()),
    }
    Ok(lease)
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
