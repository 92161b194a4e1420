//! `GET /tokenizer_info`: the special tokens and the chat template, as evaluation harnesses that tokenize through the
//! server ask for them; vLLM's names.

use axum::{Extension, Json, extract::State, http::HeaderMap};
use realm_engine::{chat_template::ChatTemplate, engine::TokenId};
use serde::Serialize;

use crate::{
    api::{context::RequestContext, error::ApiError, flow},
    state::AppState,
};

/// What the file says; null where it says nothing.
#[derive(Debug, Serialize)]
pub(super) struct TokenizerInfo {
    /// Text of the token that begins a sequence.
    bos_token: Option<String>,
    /// Text of the token that ends one.
    eos_token: Option<String>,
    /// Text of the token that fills space.
    pad_token: Option<String>,
    /// Source of the chat template.
    chat_template: Option<String>,
}

/// The handler.
pub(super) async fn handle(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
) -> Result<Json<TokenizerInfo>, ApiError> {
    flow::enter(&state, &context, &headers)?;
    let model = &flow::ready(&state)?.model;
    let tokenizer = model.tokenizer();
    let text = |token: Option<TokenId>| {
        let bytes = token.and_then(|token| tokenizer.token_bytes(token));
        bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    Ok(Json(TokenizerInfo {
        bos_token: text(tokenizer.bos()),
        eos_token: text(tokenizer.eos()),
        pad_token: text(tokenizer.roles().padding),
        chat_template: model
            .chat_template()
            .map(|template| ChatTemplate::source(template).to_owned()),
    }))
}
