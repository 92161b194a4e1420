//! The HTTP client of downloads: TLS by rustls with ring, roots of the system plus the built-in ones, timeouts on
//! everything, and redirects that never lead from https to http.

use std::time::Duration;

use reqwest::{
    Certificate, Client,
    redirect::{Attempt, Policy},
};

use super::error::FetchError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// No byte for this long means that the connection is dead.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
const MAX_REDIRECTS: usize = 10;
const USER_AGENT: &str = concat!("realm/", env!("CARGO_PKG_VERSION"));

/// Builds the client.
pub(super) fn build() -> Result<Client, FetchError> {
    // An error means that another part of the process installed its provider first, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|root| Certificate::from_der(root))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| FetchError::Client(error.to_string()))?;
    Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(STALL_TIMEOUT)
        .referer(false)
        .redirect(Policy::custom(follow))
        .tls_certs_merge(roots)
        .build()
        .map_err(|error| FetchError::Client(error.to_string()))
}

/// Follows a bounded number of redirects; reqwest itself drops the token when the host changes.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("more than {MAX_REDIRECTS} redirects"));
    }
    let from_https = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if from_https && attempt.url().scheme() != "https" {
        return attempt.error("a redirect from https to http was refused");
    }
    attempt.follow()
}
