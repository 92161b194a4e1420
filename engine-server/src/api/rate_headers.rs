//! The headers in which an answer tells how its tenant's limits stand, in OpenAI's names and form.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::{
    admission::{ledger::Standings, quota::Standing},
    api::context::RequestContext,
    state::AppState,
};

/// The names: limit, what is left of it, and the time until all of it is there again.
type Names = [HeaderName; 3];

const REQUESTS: Names = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: Names = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// All of them, for browsers.
pub(super) fn names() -> impl Iterator<Item = HeaderName> {
    REQUESTS.into_iter().chain(TOKENS)
}

/// Adds them to the answer of a request that counts and whose tenant is known.
pub(super) fn add(state: &AppState, context: &RequestContext, headers: &mut HeaderMap) {
    let Some(tenant) = context.tenant() else { return };
    if !context.route().is_limited() {
        return;
    }
    let account = state.ledger().account(&tenant.id);
    let Standings { requests, tokens } = account.standings(tenant, Timestamp::now());
    write(headers, REQUESTS, requests);
    write(headers, TOKENS, tokens);
}

fn write(headers: &mut HeaderMap, [limit, left, reset]: Names, standing: Option<Standing>) {
    let Some(standing) = standing else { return };
    headers.insert(limit, HeaderValue::from(standing.limit));
    headers.insert(left, HeaderValue::from(standing.left));
    if let Ok(value) = HeaderValue::from_str(&in_words(standing.reset)) {
        headers.insert(reset, value);
    }
}

/// As OpenAI writes times: `250ms`, `12s`, `6m0s`, `2h0m5s`; rounded up.
fn in_words(time: Duration) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000);
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let seconds = millis.div_ceil(1000);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_openai_writes_them() {
        for (nanos, words) in [
            (0, "0ms"),
            (1, "1ms"),
            (250_000_000, "250ms"),
            (999_000_001, "1s"),
            (1_000_000_001, "2s"),
            (12_000_000_000, "12s"),
            (360_000_000_000, "6m0s"),
            (7_205_000_000_000, "2h0m5s"),
        ] {
            assert_eq!(in_words(Duration::from_nanos(nanos)), words);
        }
    }
}
