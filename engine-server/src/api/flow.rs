//! The way of a generating request, the same for every endpoint: enter, name a model, prepare, queue, answer.

use axum::{http::HeaderMap, response::Response};

use crate::{
    admission::authenticate,
    api::{
        answers::Answers,
        context::RequestContext,
        error::ApiError,
        generation::Delivery,
        guided::{Asked, Guided, guide, program_of},
        openai::Head,
        prepare::{Order, Room, prepare},
        sse::{self, StreamOptions},
        whole,
        wire::Wire,
    },
    health::Status,
    metrics::{ReasonLabels, TenantLabels},
    state::{AppState, Loaded},
};

/// Names the tenant of a request, or refuses it.
pub(super) fn enter(
    state: &AppState,
    context: &RequestContext,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    match authenticate(headers, &state.serving().tenants, jiff::Timestamp::now()) {
        Ok(tenant) => {
            context.set_tenant(tenant);
            Ok(())
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
        created: jiff::Timestamp::now().as_second().max(0) as u64,
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
    wire: W,
) -> Result<Response, ApiError> {
    let delivery = order.generation.delivery;
    let (answers, prompt_tokens) = begin(state, &context, order).await?;
    match delivery {
        Delivery::Whole => whole::respond(wire, answers, prompt_tokens).await,
        Delivery::Stream { include_usage } => {
            let keep_alive = state.limits().stream_keep_alive;
            let options = StreamOptions { include_usage, prompt_tokens, keep_alive };
            Ok(sse::respond(wire, answers, options, context))
        }
    }
}

async fn begin(
    state: &AppState,
    context: &RequestContext,
    order: Order,
) -> Result<(Answers, usize), ApiError> {
    let loaded = ready(state)?;
    let room = Room {
        context_length: loaded.context_length,
        default_output_tokens: state.limits().default_output_tokens,
    };
    let model = std::sync::Arc::clone(&loaded.model);
    let tenant = context.tenant().ok_or_else(|| ApiError::internal("the request has no tenant"))?;
    let program = program_of(state, tenant)?;
    let asked = Asked::new(state, context, tenant);
    let constraints = std::sync::Arc::clone(&loaded.constraints);
    let preparing = tokio::task::spawn_blocking(move || {
        let guided = match program {
            Some(program) => guide(&program, order, &asked)?,
            None => Guided::plain(order),
        };
        let prepared = prepare(&guided.order, &model, &constraints, room)?;
        Ok::<_, ApiError>((prepared, guided.filters))
    });
    let (prepared, filters) = preparing.await.map_err(|error| {
        tracing::error!(%error, "preparing a prompt failed");
        ApiError::internal("the prompt could not be prepared")
    })??;
    let labels = TenantLabels {
        tenant: tenant.label.clone(),
        model: state.serving().config.served_name.clone(),
    };
    let receivers = loaded.scheduler.submit(tenant, prepared.sequences).inspect_err(|error| {
        tracing::debug!(request_id = context.id(), %error, "not queued");
        state.metrics().rejections.get_or_create(&ReasonLabels { reason: "queue" }).inc();
    })?;
    state.metrics().prompt_tokens.get_or_create(&labels).inc_by(prepared.prompt_tokens as u64);
    let answers = Answers::new(
        receivers,
        filters,
        state.metrics().clone(),
        labels,
        context.clone(),
        loaded.scheduler.stopping().clone(),
    );
    Ok((answers, prepared.prompt_tokens))
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
