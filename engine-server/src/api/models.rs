//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::HeaderMap,
};

use crate::{
    api::{
        context::RequestContext,
        error::ApiError,
        flow,
        openai::{ModelDocument, ModelList},
    },
    state::AppState,
};

/// Lists the served name and its aliases.
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
) -> Result<Json<ModelList>, ApiError> {
    flow::enter(&state, &context, &headers)?;
    let data = state.serving().names().map(|name| document(&state, name)).collect();
    Ok(Json(ModelList { object: "list", data }))
}

/// One of them.
pub(super) async fn get(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<ModelDocument>, ApiError> {
    flow::enter(&state, &context, &headers)?;
    flow::check_model(&state, &id)?;
    Ok(Json(document(&state, &id)))
}

fn document(state: &AppState, name: &str) -> ModelDocument {
    ModelDocument {
        id: name.to_owned(),
        object: "model",
        created: state.created(),
        owned_by: "realm",
    }
}
