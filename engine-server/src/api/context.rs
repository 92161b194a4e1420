//! What is known of one HTTP request while it is answered: its id, when it began, its tenant, how it ended.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU16, Ordering},
    },
    time::Instant,
};

use axum::http::{HeaderMap, HeaderValue, StatusCode};

use crate::{metrics::Route, tenant::Tenant};

/// Header of the request id.
pub const REQUEST_ID: &str = "x-request-id";
/// Longest id that is taken from a client.
const MAX_ID_BYTES: usize = 128;
/// What names of headers begin with that the tenant's program sees.
const PROGRAM_HEADERS: &str = "x-realm-";
/// Headers that it sees, and bytes of each value; what is more is left out.
const MAX_PROGRAM_HEADERS: usize = 16;
const MAX_PROGRAM_HEADER_BYTES: usize = 8 << 10;

/// One request. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RequestContext {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: String,
    program_headers: Vec<(String, String)>,
    route: Route,
    started: Instant,
    tenant: OnceLock<Arc<Tenant>>,
    /// A status that says more than the response's own: a stream that failed after its 200. 0 when there is none.
    outcome: AtomicU16,
}

impl RequestContext {
    /// A request that has just arrived.
    pub fn new(route: Route, headers: &HeaderMap) -> Self {
        let id =
            client_id(headers).unwrap_or_else(|| format!("req-{}", uuid::Uuid::now_v7().simple()));
        let inner = Inner {
            id,
            program_headers: program_headers(headers),
            route,
            started: Instant::now(),
            tenant: OnceLock::new(),
            outcome: AtomicU16::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Headers for the tenant's program, names in lower case.
    pub fn program_headers(&self) -> &[(String, String)] {
        &self.inner.program_headers
    }

    /// Which endpoint.
    pub fn route(&self) -> Route {
        self.inner.route
    }

    /// When it arrived.
    pub fn started(&self) -> Instant {
        self.inner.started
    }

    /// Notes whose it is; once.
    pub fn set_tenant(&self, tenant: Arc<Tenant>) {
        let _ = self.inner.tenant.set(tenant);
    }

    /// Whose it is, once known.
    pub fn tenant(&self) -> Option<&Arc<Tenant>> {
        self.inner.tenant.get()
    }

    /// Notes that the answer ended differently than its status line says.
    pub fn set_outcome(&self, status: StatusCode) {
        self.inner.outcome.store(status.as_u16(), Ordering::Relaxed);
    }

    /// How the answer ended, when that differs from its status line.
    pub fn outcome(&self) -> Option<u16> {
        Some(self.inner.outcome.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }
}

/// The client's own id, when it is short and harmless in a log.
fn client_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    ((1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(harmless)).then(|| id.to_owned())
}

/// The headers that are meant for the tenant's program. Never the authorization, which has another name.
fn program_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned);
    headers
        .iter()
        .filter(|(name, value)| {
            name.as_str().starts_with(PROGRAM_HEADERS) && value.len() <= MAX_PROGRAM_HEADER_BYTES
        })
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
        .take(MAX_PROGRAM_HEADERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn a_program_sees_its_own_headers_and_no_others() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("authorization", "Bearer k"), ("cookie", "c"), ("x-realm-user", "ada")]
        {
            headers.insert(name, value.parse().unwrap());
        }
        headers.insert("x-realm-long", "x".repeat(MAX_PROGRAM_HEADER_BYTES + 1).parse().unwrap());
        headers.insert("x-realm-bytes", HeaderValue::from_bytes(&[255]).unwrap());
        let seen = RequestContext::new(Route::models, &headers);
        assert_eq!(seen.program_headers(), [("x-realm-user".to_owned(), "ada".to_owned())]);
        for number in 0..100 {
            let name = format!("x-realm-{number}").parse::<HeaderName>().unwrap();
            headers.insert(name, "1".parse().unwrap());
        }
        let seen = RequestContext::new(Route::models, &headers);
        assert_eq!(seen.program_headers().len(), MAX_PROGRAM_HEADERS);
    }

    #[test]
    fn only_sane_client_ids_are_taken() {
        let id = |given: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, given.parse().unwrap());
            RequestContext::new(Route::models, &headers).id().to_owned()
        };
        assert_eq!(id("a-1_b.c:d"), "a-1_b.c:d");
        for bad in ["", "a b", "a\"b", "é", &"x".repeat(MAX_ID_BYTES + 1)] {
            assert!(id(bad).starts_with("req-"), "{bad:?}");
        }
    }
}
