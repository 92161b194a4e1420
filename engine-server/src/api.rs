//! The HTTP surface: routes, and the layers around them. Needs no socket, so that tests can call it directly.
//!
//! A field of a request is honoured or refused by name, never ignored; [`error`] is the one place where errors become
//! HTTP.

use std::{any::Any, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderName, Method, StatusCode, Uri, header::RETRY_AFTER},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower_http::{
    catch_panic::{CatchPanicLayer, ResponseForPanic},
    cors::{AllowHeaders, Any as AnyOrigin, CorsLayer},
};

use crate::{
    api::error::ApiError,
    metrics::{Component, Metrics},
    state::AppState,
};

mod agents;
mod answers;
pub mod body;
mod chat_completions;
pub mod chat_request;
mod chat_wire;
pub mod completion_request;
mod completions;
pub mod context;
mod detokenize;
pub mod echo;
pub mod embedding_request;
mod embeddings;
pub mod error;
pub mod fields;
mod flow;
pub mod generation;
mod guided;
mod health;
mod leftover;
mod metrics_page;
mod models;
mod observe;
pub mod openai;
mod page;
mod place;
mod prepare;
mod rate_headers;
pub mod response_document;
pub mod response_request;
mod responses;
mod sse;
pub mod structured;
mod tokenize;
mod tokenizer_info;
pub mod tools;
pub mod vectors;
mod whole;
mod wire;

/// How long a browser may remember the answer to a preflight request.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_hours(1);

/// The port for clients.
pub fn app(state: AppState) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat_completions::handle))
        .route("/v1/completions", post(completions::handle))
        .route("/v1/responses", post(responses::handle))
        .route("/v1/embeddings", post(embeddings::handle))
        .route("/tokenize", post(tokenize::handle))
        .route("/detokenize", post(detokenize::handle))
        .route("/tokenizer_info", get(tokenizer_info::handle))
        .route("/v1/models", get(models::list))
        // A model's name may have slashes.
        .route("/v1/models/{*id}", get(models::get))
        .route("/health", get(health::health))
        .merge(page::routes())
        .merge(probes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(catch_panics(state.metrics()))
        .layer(cors())
        .layer(middleware::from_fn(leftover::read_leftover))
        .layer(middleware::from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

/// The port for operators: metrics and health. Not counted among the requests.
pub fn management(state: AppState) -> Router {
    Router::new()
        .route("/metrics", get(metrics_page::page))
        .route("/health", get(health::with_tenants))
        .merge(probes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(catch_panics(state.metrics()))
        .with_state(state)
}

fn probes() -> Router<AppState> {
    Router::new().route("/livez", get(health::livez)).route("/readyz", get(health::readyz))
}

async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    let message = format!("there is no {method} {} here", uri.path());
    ApiError::refused(StatusCode::NOT_FOUND, "unknown_route", message)
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message =
        format!("{} does not take {method}; the Allow header names what it takes", uri.path());
    ApiError::refused(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// Any page may call: access is decided by the API key, never by cookies.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AnyOrigin)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(
            [HeaderName::from_static(context::REQUEST_ID), RETRY_AFTER]
                .into_iter()
                .chain(rate_headers::names())
                .collect::<Vec<_>>(),
        )
        .max_age(PREFLIGHT_MAX_AGE)
}

/// A handler that panics ends its own request only.
fn catch_panics(metrics: &Metrics) -> CatchPanicLayer<PanicAnswer> {
    CatchPanicLayer::custom(PanicAnswer { metrics: metrics.clone() })
}

#[derive(Clone)]
struct PanicAnswer {
    metrics: Metrics,
}

impl ResponseForPanic for PanicAnswer {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, _panic: Box<dyn Any + Send>) -> Response {
        self.metrics.panic_caught(Component::http);
        ApiError::internal("the server failed on this request; the cause is in its log")
            .into_response()
    }
}
