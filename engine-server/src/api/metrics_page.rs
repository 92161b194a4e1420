//! `GET /metrics`, on the management port only: tenants never reach it.

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

use crate::{api::error::ApiError, metrics, state::AppState};

/// The page.
pub(super) async fn page(State(state): State<AppState>) -> Result<Response, ApiError> {
    let page = state.metrics_page().map_err(|error| {
        tracing::error!(%error, "the metrics page cannot be written");
        ApiError::internal("the metrics page cannot be written")
    })?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response())
}
