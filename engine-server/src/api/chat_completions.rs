//! `POST /v1/chat/completions`.

use axum::{Extension, body::Body, extract::State, http::HeaderMap, response::Response};

use crate::{
    api::{
        body::read_json,
        chat_request::ChatRequest,
        chat_wire::ChatWire,
        completion_request::Extras,
        context::RequestContext,
        error::ApiError,
        flow,
        generation::Delivery,
        prepare::{Order, PromptSource},
    },
    state::AppState,
};

/// The handler.
pub(super) async fn handle(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    flow::enter(&state, &context, &headers)?;
    let loaded = flow::ready(&state)?;
    let fields = read_json(&headers, body, state.limits()).await?;
    let request = ChatRequest::parse(fields, flow::random_seed()?)?;
    flow::check_model(&state, &request.model)?;
    let (object, usage_field) = match request.generation.delivery {
        Delivery::Whole => ("chat.completion", false),
        Delivery::Stream { include_usage } => ("chat.completion.chunk", include_usage),
    };
    let head = flow::head(&state, loaded, "chatcmpl", object);
    let wire = ChatWire::new(head, request.top_logprobs.is_some(), usage_field);
    let order = Order {
        field: "messages",
        source: PromptSource::Chat { turns: request.messages, tools: request.tools },
        generation: request.generation,
        top_logprobs: request.top_logprobs,
        structure: request.structure,
        extras: Extras::default(),
    };
    flow::answer(&state, context, order, wire).await
}
