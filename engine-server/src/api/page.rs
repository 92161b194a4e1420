//! `GET /`: a page to chat on, carried by the binary. No key is needed to load it; its requests carry the reader's own.
//!
//! It runs nothing and asks nobody but this server: the policy on every file forbids the rest, whatever a model writes.

use axum::{
    Router,
    http::{
        HeaderMap, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
            REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};

use crate::{digest::Digest, state::AppState};

/// What the page may do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FILES: [File; 5] = [
    File {
        path: "/",
        media_type: "text/html; charset=utf-8",
        text: include_str!("page/page.html"),
    },
    File {
        path: "/assets/page.css",
        media_type: "text/css; charset=utf-8",
        text: include_str!("page/page.css"),
    },
    File {
        path: "/assets/page.js",
        media_type: "text/javascript; charset=utf-8",
        text: include_str!("page/page.js"),
    },
    File {
        path: "/assets/client.js",
        media_type: "text/javascript; charset=utf-8",
        text: include_str!("page/client.js"),
    },
    File {
        path: "/assets/icon.svg",
        media_type: "image/svg+xml",
        text: include_str!("page/icon.svg"),
    },
];

/// One file of the page.
#[derive(Clone, Copy)]
struct File {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

/// The page and what it loads.
pub(super) fn routes() -> Router<AppState> {
    FILES.iter().fold(Router::new(), |router, file| router.route(file.path, file.route()))
}

/// Whether `path` is one of the page's.
pub(super) fn has(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path)
}

impl File {
    fn route(self) -> MethodRouter<AppState> {
        let etag = format!("\"{}\"", Digest::of(self.text.as_bytes()));
        get(move |headers: HeaderMap| async move { self.answer(&etag, &headers) })
    }

    fn answer(self, etag: &str, asked: &HeaderMap) -> Response {
        let headers = [
            (CONTENT_TYPE, self.media_type),
            // A browser asks each time, and after an upgrade of the server has the files that belong together.
            (CACHE_CONTROL, "no-cache"),
            (ETAG, etag),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
        ];
        if is_held(etag, asked) {
            (StatusCode::NOT_MODIFIED, headers).into_response()
        } else {
            (headers, self.text).into_response()
        }
    }
}

/// Whether the client has this text already. Proxies that compress make tags weak.
fn is_held(etag: &str, asked: &HeaderMap) -> bool {
    let lists = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
