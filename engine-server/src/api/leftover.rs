//! What a handler has left of its request's body: read before the answer goes, so that the connection can be used again.
//!
//! Hyper closes a connection whose request was answered before it had arrived whole, without saying so: a client that sends
//! head and body apart would lose the next request, or even this answer. What is too much, or does not come, is answered with
//! `Connection: close`.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{
        HeaderValue,
        header::{CONNECTION, EXPECT},
    },
    middleware::Next,
    response::Response,
};
use futures::StreamExt as _;
use http_body::{Frame, SizeHint};

/// Bytes that are read for the connection's sake, at most.
const MAX_BYTES: usize = 1 << 20;
/// How long they may take.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The middleware.
pub(super) async fn read_leftover(request: Request, next: Next) -> Response {
    // A client that waits to be asked for its body has nothing on the way.
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let lent = Lent { rest: Arc::new(Mutex::new(Rest { body, ended: false })) };
    let mut response = next.run(Request::from_parts(parts, Body::new(lent.clone()))).await;
    if !response.headers().contains_key(CONNECTION) && !read_to_end(lent).await {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether the end came.
async fn read_to_end(lent: Lent) -> bool {
    let reading = async {
        let mut left = MAX_BYTES;
        let mut chunks = Body::new(lent).into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let Ok(chunk) = chunk else { return false };
            let Some(less) = left.checked_sub(chunk.len()) else { return false };
            left = less;
        }
        true
    };
    tokio::time::timeout(MAX_WAIT, reading).await.unwrap_or(false)
}

/// A body that the handler reads, and after it the middleware.
#[derive(Debug, Clone)]
struct Lent {
    rest: Arc<Mutex<Rest>>,
}

#[derive(Debug)]
struct Rest {
    body: Body,
    ended: bool,
}

impl Lent {
    fn lock(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut rest = self.lock();
        if rest.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut rest.body).poll_frame(context));
        rest.ended = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let rest = self.lock();
        rest.ended || rest.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().body.size_hint()
    }
}
