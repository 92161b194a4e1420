//! Around every request: gives it an id, counts it when its last byte has gone or its client has, and writes one line of
//! log. Whatever way a request ends, `Drop` sees it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};

use crate::{
    api::{
        context::{REQUEST_ID, RequestContext},
        page, rate_headers,
    },
    metrics::{NO_TENANT, RequestLabels, Route, TenantLabels, observe_seconds},
    state::AppState,
};

/// Status under which a request is counted whose client went away before the end.
const CLIENT_GONE: u16 = 499;

/// The middleware.
pub(super) async fn observe(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let context = RequestContext::new(route(&request), request.headers());
    request.extensions_mut().insert(context.clone());
    let mut record = Record { state, context: context.clone(), status: CLIENT_GONE };
    let mut response = next.run(request).await;
    rate_headers::add(&record.state, &context, response.headers_mut());
    if let Ok(id) = HeaderValue::from_str(context.id()) {
        response.headers_mut().insert(HeaderName::from_static(REQUEST_ID), id);
    }
    let status = response.status().as_u16();
    // A document leaves as one piece; only a stream can be cut half-way.
    record.status =
        if response.body().size_hint().exact().is_some() { status } else { CLIENT_GONE };
    response.map(|inner| Body::new(Observed { inner, status, record }))
}

fn route(request: &Request) -> Route {
    match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some("/v1/chat/completions") => Route::chat_completions,
        Some("/v1/completions") => Route::completions,
        Some("/v1/responses") => Route::responses,
        Some("/v1/embeddings") => Route::embeddings,
        Some("/tokenize") => Route::tokenize,
        Some("/detokenize") => Route::detokenize,
        Some("/tokenizer_info") => Route::tokenizer_info,
        Some("/v1/models") => Route::models,
        Some("/v1/models/{*id}") => Route::model,
        Some("/health" | "/livez" | "/readyz") => Route::health,
        Some(path) if page::has(path) => Route::page,
        _ => Route::unknown,
    }
}

/// Counts a request when it is dropped.
struct Record {
    state: AppState,
    context: RequestContext,
    status: u16,
}

impl Drop for Record {
    fn drop(&mut self) {
        let status = match self.status {
            CLIENT_GONE => CLIENT_GONE,
            status => self.context.outcome().unwrap_or(status),
        };
        let model = self.state.serving().config.served_name.clone();
        let tenant =
            self.context.tenant().map_or(NO_TENANT, |tenant| tenant.label.as_str()).to_owned();
        let metrics = self.state.metrics();
        let route = self.context.route();
        let labels = RequestLabels { tenant: tenant.clone(), model: model.clone(), route, status };
        metrics.requests.get_or_create(&labels).inc();
        if self.context.tenant().is_some() && route.is_limited() {
            let labels = TenantLabels { tenant, model };
            observe_seconds(&metrics.request_duration, &labels, self.context.started().elapsed());
            if status == CLIENT_GONE {
                metrics.client_disconnects.get_or_create(&labels).inc();
            }
        }
        self.log(status);
    }
}

impl Record {
    fn log(&self, status: u16) {
        let (id, route) = (self.context.id(), self.context.route());
        let tenant = self.context.tenant().map(|tenant| tenant.label.as_str());
        let seconds = self.context.started().elapsed().as_secs_f64();
        if route == Route::health {
            tracing::debug!(request_id = id, ?route, status, seconds, "request");
        } else {
            tracing::info!(request_id = id, ?route, status, tenant, seconds, "request");
        }
    }
}

/// A body that knows when it has ended.
struct Observed {
    inner: Body,
    status: u16,
    record: Record,
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) {
            self.record.status = self.status;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
