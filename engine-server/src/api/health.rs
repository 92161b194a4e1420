//! `GET /health`, `/livez`, `/readyz`: for operators and probes; no key is needed.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};

use crate::{
    health::{HealthDocument, Status},
    state::AppState,
};

/// Seconds after which a probe may find another state.
const RETRY_SECONDS: &str = "1";

/// The document without a word about tenants, for whoever asks; 200 when requests are answered.
pub(super) async fn health(State(state): State<AppState>) -> Response {
    told(state.health_document())
}

/// The whole document, for the port that tenants do not reach.
pub(super) async fn with_tenants(State(state): State<AppState>) -> Response {
    // First the version of the table: programs read after it are at least as new, so none passes for running too early.
    let document = state.health_document();
    let (programs, programs_omitted) = state.programs().report();
    told(HealthDocument { programs, programs_omitted, ..document })
}

fn told(document: HealthDocument) -> Response {
    answer(document.status == Status::Ok, Json(document))
}

/// Whether the process works: only a failed one should be killed.
pub(super) async fn livez(State(state): State<AppState>) -> Response {
    let status = state.health().status();
    answer(status != Status::Failed, word(status))
}

/// Whether new requests should be sent here.
pub(super) async fn readyz(State(state): State<AppState>) -> Response {
    let status = state.health().status();
    answer(status == Status::Ok, word(status))
}

fn answer(good: bool, body: impl IntoResponse) -> Response {
    if good {
        body.into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, RETRY_SECONDS)], body).into_response()
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Loading => "loading",
        Status::Ok => "ok",
        Status::Draining => "draining",
        Status::Failed => "failed",
    }
}
