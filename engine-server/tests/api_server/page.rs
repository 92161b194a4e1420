//! The page to chat on: there for everybody, from the first moment on, and shut against everything from elsewhere.

use std::future::pending;

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Setup, TestServer};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const FILES: [(&str, &str); 5] = [
    ("/", "text/html; charset=utf-8"),
    ("/assets/page.css", "text/css; charset=utf-8"),
    ("/assets/page.js", "text/javascript; charset=utf-8"),
    ("/assets/client.js", "text/javascript; charset=utf-8"),
    ("/assets/icon.svg", "image/svg+xml"),
];
/// The name of the format; nobody fetches it.
const SVG: &str = "http://www.w3.org/2000/svg";

/// A server that wants keys and has not loaded its model yet.
async fn server() -> TestServer {
    let setup = Setup::default().config("/anonymous", json!(false));
    let source = setup.fixed();
    setup.start(source, pending()).await
}

async fn send(server: &TestServer, method: Method, path: &str, held: Option<&str>) -> Answer {
    let request = server.client.request(method, format!("http://{}{path}", server.api));
    let request = match held {
        Some(etag) => request.header("if-none-match", etag),
        None => request,
    };
    Answer::of(request.send().await.expect("an answer")).await
}

fn assert_strict(answer: &Answer) {
    let headers = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    ];
    for (name, value) in headers {
        assert_eq!(answer.header(name), value, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn every_file_comes_without_a_key_under_the_strict_policy() {
    let server = server().await;
    assert_eq!(server.get("/v1/models").await.status, 401);
    for (path, media_type) in FILES {
        let whole = server.get(path).await;
        assert_eq!((whole.status, whole.header("content-type")), (200, media_type), "{path}");
        assert_strict(&whole);
        assert!(!whole.text.is_empty());
        let head = send(&server, Method::HEAD, path, None).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("content-length"), whole.text.len().to_string(), "{path}");
        assert_eq!(head.header("etag"), whole.header("etag"), "{path}");
        assert_strict(&head);
    }
    let counted =
        server.metric("realm_requests_total", &["route=\"page\"", "status=\"200\""]).await;
    assert_eq!(counted, 10.0);
}

#[tokio::test]
async fn what_a_browser_holds_is_not_sent_again() {
    let server = server().await;
    for (path, _) in FILES {
        let etag = server.get(path).await.header("etag").to_owned();
        for held in
            [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()]
        {
            let answer = send(&server, Method::GET, path, Some(&held)).await;
            assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{path}: {held}");
            assert_eq!(answer.header("etag"), etag);
            assert_strict(&answer);
        }
        let answer = send(&server, Method::GET, path, Some("\"other\"")).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_page_is_only_read() {
    let server = server().await;
    for (path, _) in FILES {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = send(&server, method, path, None).await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD"), "{path}");
        }
    }
    assert_eq!(server.get("/assets/nothing.js").await.status, 404);
}

#[tokio::test]
async fn nothing_is_inline_and_nothing_is_from_elsewhere() {
    let server = server().await;
    let page = server.get("/").await.text;
    for inline in ["<style", " style=", "javascript:", "srcdoc", "<base", "<iframe"] {
        assert!(!page.contains(inline), "{inline}");
    }
    let is_handler = |(at, _): (usize, &str)| {
        page[at + 3..].trim_start_matches(|c: char| c.is_ascii_lowercase()).starts_with('=')
    };
    assert!(!page.match_indices(" on").any(is_handler));
    for (at, _) in page.match_indices("<script") {
        let tag = page[at..].split_once("</script>").expect("an end").0;
        assert!(tag.contains(" src=\"assets/") && tag.ends_with("\">"), "{tag}");
    }
    for (path, _) in FILES {
        let text = server.get(path).await.text.replace(SVG, "");
        for elsewhere in ["://", "\"//", "'//", "(//", "@import", "innerHTML", "eval("] {
            assert!(!text.contains(elsewhere), "{path}: {elsewhere}");
        }
    }
    for named in page.split("assets/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert_eq!(server.get(&format!("/assets/{named}")).await.status, 200, "{named}");
    }
}
