//! The client of the API server, with every request counted and timed.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{Method, Request, Response};
use kube::{Client, Config, client::ClientBuilder};
use tower::{Layer, Service};

use crate::metrics::Metrics;

/// Time for a connection to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client from the pod's service account, or else from the kubeconfig.
pub async fn connect(metrics: &Metrics) -> anyhow::Result<Client> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let layer = Counted { metrics: metrics.clone() };
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

/// Counts and times requests.
#[derive(Clone, Debug)]
struct Counted {
    metrics: Metrics,
}

impl<Inner> Layer<Inner> for Counted {
    type Service = CountedService<Inner>;

    fn layer(&self, inner: Inner) -> Self::Service {
        CountedService { inner, metrics: self.metrics.clone() }
    }
}

#[derive(Clone, Debug)]
struct CountedService<Inner> {
    inner: Inner,
    metrics: Metrics,
}

impl<Inner, Sent, Received> Service<Request<Sent>> for CountedService<Inner>
where
    Inner: Service<Request<Sent>, Response = Response<Received>>,
    Inner::Future: Send + 'static,
    Inner::Error: Send,
    Received: Send,
{
    type Response = Inner::Response;
    type Error = Inner::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Sent>) -> Self::Future {
        let (verb, start, metrics) = (verb(&request), Instant::now(), self.metrics.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or(0, |response| response.status().as_u16());
            metrics.requested(verb, code, start.elapsed());
            answer
        })
    }
}

/// The verb in the API server's words; a watch is told from a get by its query.
fn verb<Body>(request: &Request<Body>) -> &'static str {
    match *request.method() {
        Method::GET if request.uri().query().is_some_and(|query| query.contains("watch=true")) => {
            "watch"
        }
        Method::GET if request.uri().query().is_some_and(|query| query.contains("limit=")) => {
            "list"
        }
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}
