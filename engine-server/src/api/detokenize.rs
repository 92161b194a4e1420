//! `POST /detokenize`: the text of tokens; vLLM's fields.

use std::sync::Arc;

use axum::{Extension, Json, body::Body, extract::State, http::HeaderMap};
use serde::Serialize;

use crate::{
    api::{
        body::read_json, completion_request, context::RequestContext, error::ApiError, fields,
        flow, place::beside, prepare::check_tokens,
    },
    state::AppState,
};

/// Tokens of a request, at most.
const MAX_TOKENS: usize = 1 << 18;

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Text {
    /// The text; bytes that are no whole character become U+FFFD.
    prompt: String,
}

/// The handler.
pub(super) async fn handle(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Text>, ApiError> {
    flow::enter(&state, &context, &headers)?;
    let loaded = flow::ready(&state)?;
    let mut request = read_json(&headers, body, state.limits()).await?;
    let name = request.string("model")?;
    let list = request.array("tokens", MAX_TOKENS)?.ok_or_else(|| fields::missing("tokens"))?;
    request.finish()?;
    flow::check_named(&state, name.as_deref())?;
    let tokens = completion_request::tokens("tokens", &list)?;
    let model = Arc::clone(&loaded.model);
    let prompt = beside("detokenizing", move || {
        check_tokens("tokens", &tokens, &model)?;
        Ok::<_, ApiError>(model.tokenizer().decode(&tokens))
    });
    Ok(Json(Text { prompt: prompt.await?? }))
}
