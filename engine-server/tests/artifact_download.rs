//! Downloads against a real HTTP server that cuts, lies, refuses and redirects: what must arrive, what must be said,
//! and what must be left on the disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test by panicking"
)]

#[path = "support/file_server.rs"]
mod file_server;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use file_server::{Answer, FileServer, Seen, model_bytes};
use realm_engine_server::{
    artifact::{
        FailureKind, FetchError, FetchOptions, Fetcher, HuggingFaceFile, Progress, RetryPolicy,
        Wanted,
    },
    digest::Digest,
    store::{Store, StoredFile},
};

const FILE_BYTES: usize = 300_000;

/// Keeps what a download says.
#[derive(Debug, Default)]
struct Notes {
    notes: Vec<String>,
    advanced: u64,
}

impl Progress for Notes {
    fn begin(&mut self, _what: &str, _total: Option<u64>, _done: u64) {}
    fn advance(&mut self, bytes: u64) {
        self.advanced += bytes;
    }
    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
    fn end(&mut self) {}
}

fn options(endpoint: &str) -> FetchOptions {
    let mut options = FetchOptions::from_environment(|name| match name {
        "HF_ENDPOINT" => Some(endpoint.to_owned()),
        "HF_TOKEN" => Some("hf_secret".to_owned()),
        _ => None,
    })
    .unwrap();
    options.retry = RetryPolicy {
        fruitless_attempts: 3,
        attempts: 10,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
    };
    options
}

async fn fetch(
    server: &FileServer,
    store: &Store,
    wanted: &Wanted,
) -> (Result<StoredFile, FetchError>, Notes) {
    let mut notes = Notes::default();
    let fetcher = Fetcher::new(options(&server.url)).unwrap();
    (fetcher.fetch(store, wanted, &mut notes).await, notes)
}

fn by_url(server: &FileServer, digest: &Digest) -> Wanted {
    Wanted::http(&format!("{}/dir/m.gguf", server.url), Some(digest.clone())).unwrap()
}

fn hugging_face(digest: Option<Digest>) -> Wanted {
    Wanted::hugging_face(HuggingFaceFile::new("o/r", Some("abc"), "m.gguf").unwrap(), digest)
}

/// All files below `root` except locks, relative, with their lengths.
fn files_below(root: &Path) -> Vec<(String, u64)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(root, &mut found);
    let mut files: Vec<_> = found
        .iter()
        .filter(|path| path.extension().is_none_or(|extension| extension != "lock"))
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            (name, path.metadata().unwrap().len())
        })
        .collect();
    files.sort();
    files
}

/// A temporary store and the digest of the served file.
fn setup() -> (tempfile::TempDir, Store, Vec<u8>, Digest) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    let file = model_bytes(FILE_BYTES);
    let digest = Digest::of(&file);
    (folder, store, file, digest)
}

#[tokio::test]
async fn arrives_whole_whatever_the_server_does_on_the_way() {
    use Answer::{
        Changed, Corrupt, CutAfter, Good, IgnoreRange, LieAboutLength, NoLength, Status, WrongRange,
    };
    let resumed = |at: usize| Some(format!("bytes={at}-"));
    for (name, answers, last_range) in [
        ("at once", vec![Good], None),
        ("cut once, resumed", vec![CutAfter(100_000), Good], resumed(100_000)),
        ("cut at the first byte", vec![CutAfter(0), Good], None),
        (
            "cut four times",
            vec![CutAfter(60_000), CutAfter(60_000), CutAfter(60_000), CutAfter(60_000), Good],
            resumed(240_000),
        ),
        ("range ignored", vec![CutAfter(100_000), IgnoreRange], resumed(100_000)),
        ("500 twice", vec![Status(500), Status(503), Good], None),
        ("429", vec![Status(429), Good], None),
        ("promised too much once", vec![LieAboutLength(50), Good], resumed(FILE_BYTES)),
        (
            "another file under another tag, then the right one",
            vec![CutAfter(9_000), Changed, Good],
            None,
        ),
        ("range of the wrong place", vec![CutAfter(9_000), WrongRange, Good], None),
        ("no length, but a digest", vec![NoLength], None),
        ("corrupt start, found out after a resume", vec![CutAfter(50_000), Corrupt, Good], None),
    ] {
        let (folder, store, file, digest) = setup();
        let server = FileServer::start(&file, answers).await;
        if name.starts_with("corrupt") {
            // A resume that began in an earlier call is tried once more from the first byte.
            let mut first = options(&server.url);
            first.retry.attempts = 1;
            Fetcher::new(first)
                .unwrap()
                .fetch(&store, &by_url(&server, &digest), &mut Notes::default())
                .await
                .unwrap_err();
        }
        let (outcome, notes) = fetch(&server, &store, &by_url(&server, &digest)).await;
        let stored = outcome.unwrap_or_else(|error| panic!("{name}: {error}; {notes:?}"));
        assert_eq!(std::fs::read(&stored.path).unwrap(), file, "{name}");
        assert_eq!(stored.path, store.final_path(&digest, "m.gguf"), "{name}");
        let expected = vec![(format!("sha256/{digest}/m.gguf"), FILE_BYTES as u64)];
        assert_eq!(files_below(folder.path()), expected, "{name}");
        let seen = server.seen();
        assert_eq!(seen.last().unwrap().range, last_range, "{name}: {seen:?}");
        assert!(
            seen.iter().all(|seen| seen.authorization.is_none()),
            "{name}: a plain URL gets no token"
        );
    }
}

#[tokio::test]
async fn a_failure_says_what_and_where_and_leaves_nothing_but_a_resumable_part() {
    use Answer::{Corrupt, CutAfter, LieAboutLength, Page, Status};
    for (answers, kind, words, part_stays) in [
        (vec![Status(404)], FailureKind::NotFound, "404 Not Found: there is no such file", true),
        (vec![Status(401)], FailureKind::Other, "401 Unauthorized: set HF_TOKEN", true),
        (vec![Status(403)], FailureKind::Other, "accept the model's licence", true),
        (vec![Status(400)], FailureKind::Other, "cannot be downloaded from there", true),
        (vec![Status(500)], FailureKind::Unavailable, "gave up after 3 attempts: http", true),
        (
            vec![CutAfter(7), CutAfter(0)],
            FailureKind::Unavailable,
            "run the same command again to resume",
            true,
        ),
        (vec![Corrupt], FailureKind::Other, "sha256 expected", false),
        (vec![LieAboutLength(-50)], FailureKind::Other, "sha256 expected", false),
        (vec![Page("<html>log in</html>")], FailureKind::Other, "sha256 expected", false),
    ] {
        let (folder, store, file, digest) = setup();
        let server = FileServer::start(&file, answers.clone()).await;
        let (outcome, _) = fetch(&server, &store, &by_url(&server, &digest)).await;
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains(words), "{answers:?}: {error}");
        assert_eq!(error.kind(), kind, "{answers:?}: {error}");
        let left = files_below(folder.path());
        let parts_only = left.iter().all(|(name, _)| name.contains("m.gguf.part"));
        assert!(parts_only && left.is_empty() != part_stays, "{answers:?}: {left:?}");
        assert!(store.files().unwrap().is_empty(), "{answers:?}");
    }
}

#[tokio::test]
async fn a_wrong_digest_names_both() {
    let (_folder, store, file, _) = setup();
    let server = FileServer::start(&file, vec![Answer::Good]).await;
    let wrong = Digest::of(b"another");
    let error = fetch(&server, &store, &by_url(&server, &wrong)).await.0.unwrap_err().to_string();
    assert!(
        error.contains(wrong.as_str()) && error.contains(Digest::of(&file).as_str()),
        "{error}"
    );
}

#[tokio::test]
async fn a_later_call_resumes_with_if_range_where_an_earlier_one_gave_up() {
    let (_folder, store, file, digest) = setup();
    let server = FileServer::start(
        &file,
        vec![Answer::CutAfter(80_000), Answer::CutAfter(0), Answer::CutAfter(0), Answer::Good],
    )
    .await;
    let wanted = by_url(&server, &digest);
    fetch(&server, &store, &wanted).await.0.unwrap_err();
    let (outcome, notes) = fetch(&server, &store, &wanted).await;
    assert_eq!(std::fs::read(outcome.unwrap().path).unwrap(), file);
    assert_eq!(notes.advanced, (FILE_BYTES - 80_000) as u64, "only the rest is transferred");
    let last = server.seen().pop().unwrap();
    assert_eq!(
        (last.range.as_deref(), last.if_range.as_deref()),
        (Some("bytes=80000-"), Some("\"v1\""))
    );
}

#[tokio::test]
async fn a_complete_part_is_recognised_by_416() {
    let (_folder, store, file, digest) = setup();
    let server = FileServer::start(&file, vec![Answer::Good]).await;
    let wanted = by_url(&server, &digest);
    let part = store.part_path(Some(&digest), &digest, "m.gguf");
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, &file).unwrap();
    let (outcome, notes) = fetch(&server, &store, &wanted).await;
    outcome.unwrap();
    assert_eq!(notes.advanced, 0);
}

#[tokio::test]
async fn a_foreign_part_is_replaced() {
    let (_folder, store, file, digest) = setup();
    let server = FileServer::start(&file, vec![Answer::Good]).await;
    let part = store.part_path(Some(&digest), &digest, "m.gguf");
    for foreign in [vec![7; 1000], vec![7; FILE_BYTES], vec![7; FILE_BYTES + 1]] {
        std::fs::create_dir_all(part.parent().unwrap()).unwrap();
        std::fs::write(&part, &foreign).unwrap();
        let stored = fetch(&server, &store, &by_url(&server, &digest)).await.0.unwrap();
        assert_eq!(std::fs::read(&stored.path).unwrap(), file);
        std::fs::remove_file(stored.path).unwrap();
    }
}

#[tokio::test]
async fn the_token_goes_to_the_endpoint_and_to_no_other_host() {
    let (_folder, store, file, digest) = setup();
    let other = FileServer::start(&file, vec![Answer::CutAfter(1000), Answer::Good]).await;
    let endpoint =
        FileServer::start(&file, vec![Answer::Redirect(format!("{}/blob", other.url))]).await;
    fetch(&endpoint, &store, &hugging_face(Some(digest))).await.0.unwrap();
    let bearer = Some("Bearer hf_secret".to_owned());
    let asked: Vec<_> =
        endpoint.seen().into_iter().map(|seen| (seen.path, seen.authorization)).collect();
    assert_eq!(asked, vec![("/o/r/resolve/abc/m.gguf".to_owned(), bearer); 2]);
    let seen_elsewhere = other.seen();
    assert_eq!(seen_elsewhere.len(), 2);
    assert!(seen_elsewhere.iter().all(|seen| seen.authorization.is_none()), "{seen_elsewhere:?}");
    assert_eq!(
        seen_elsewhere[1].range.as_deref(),
        Some("bytes=1000-"),
        "a redirect keeps the range"
    );
}

#[tokio::test]
async fn endless_redirects_end() {
    let (_folder, store, file, digest) = setup();
    let server = FileServer::start(&file, vec![Answer::Redirect("/again".into())]).await;
    let error = fetch(&server, &store, &by_url(&server, &digest)).await.0.unwrap_err().to_string();
    assert!(error.contains("redirect"), "{error}");
    assert!(server.seen().len() < 20);
}

#[tokio::test]
async fn without_a_digest_the_first_download_is_pinned_and_found_offline() {
    let (_folder, store, file, digest) = setup();
    let server =
        FileServer::start(&file, vec![Answer::CutAfter(5000), Answer::Good, Answer::Status(500)])
            .await;
    let wanted = hugging_face(None);
    let first = fetch(&server, &store, &wanted).await.0.unwrap();
    assert_eq!(first.digest, digest);
    let asked = server.seen().len();
    assert_eq!(fetch(&server, &store, &wanted).await.0.unwrap(), first);
    assert_eq!(server.seen().len(), asked, "the second call needs no network");
}

#[tokio::test]
async fn without_a_digest_nothing_doubtful_is_resumed_or_kept() {
    for (etag, answers, words) in [
        (Some("\"v1\""), vec![Answer::Page("<!doctype html>please log in")], "is not a model file"),
        (Some("\"v1\""), vec![Answer::Page("GG")], "shorter than a header"),
        (Some("\"v1\""), vec![Answer::NoLength], "does not say how long it is"),
    ] {
        let (_folder, store, file, _) = setup();
        let server = FileServer::with_etag(&file, answers, etag).await;
        let error = fetch(&server, &store, &hugging_face(None)).await.0.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(store.files().unwrap().is_empty());
    }
    for etag in [None, Some("W/\"v1\"")] {
        let (_folder, store, file, _) = setup();
        let server =
            FileServer::with_etag(&file, vec![Answer::CutAfter(5000), Answer::Good], etag).await;
        fetch(&server, &store, &hugging_face(None)).await.0.unwrap();
        assert_eq!(
            server.seen().pop().unwrap().range,
            None,
            "{etag:?} does not prove the same bytes"
        );
    }
}

#[tokio::test]
async fn two_downloaders_transfer_once() {
    let (_folder, store, file, digest) = setup();
    let server = FileServer::start(&file, vec![Answer::Good]).await;
    let wanted = by_url(&server, &digest);
    let (first, second) =
        tokio::join!(fetch(&server, &store, &wanted), fetch(&server, &store, &wanted));
    assert_eq!(first.0.unwrap(), second.0.unwrap());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_proven_copy_in_the_hugging_face_cache_saves_the_download() {
    let (_folder, store, file, digest) = setup();
    let server = FileServer::start(&file, vec![Answer::Good]).await;
    for (given, blob_name, content, downloads) in [
        (Some(digest.clone()), "x".to_owned(), file.clone(), 0),
        (None, digest.to_string(), file.clone(), 0),
        (None, "etag-of-a-small-file".to_owned(), file.clone(), 1),
        (Some(digest.clone()), digest.to_string(), b"GGUF cut".to_vec(), 1),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let blobs = cache.path().join("models--o--r/blobs");
        let snapshot = cache.path().join("models--o--r/snapshots/abc");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::write(blobs.join(&blob_name), &content).unwrap();
        std::os::unix::fs::symlink(format!("../../blobs/{blob_name}"), snapshot.join("m.gguf"))
            .unwrap();

        let own = Store::at(
            store
                .root()
                .join(format!("{blob_name}-{}", content.len()))
                .join(given.is_some().to_string()),
        );
        let before = server.seen().len();
        let mut options = options(&server.url);
        options.hub_cache = Some(cache.path().to_owned());
        let fetcher = Fetcher::new(options).unwrap();
        let stored =
            fetcher.fetch(&own, &hugging_face(given), &mut Notes::default()).await.unwrap();
        assert_eq!(std::fs::read(&stored.path).unwrap(), file);
        assert_eq!(server.seen().len() - before, downloads, "{blob_name}");
        assert_eq!(
            std::fs::read(blobs.join(&blob_name)).unwrap(),
            content,
            "the cache is only read"
        );
    }
}

#[tokio::test]
async fn disk_trouble_is_named() {
    let (folder, _, file, digest) = setup();
    let server = FileServer::start(&file, vec![Answer::Good]).await;
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "in the way").unwrap();
    let error = fetch(&server, &Store::at(&blocked), &by_url(&server, &digest))
        .await
        .0
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Not a directory") && error.contains(&blocked.display().to_string()),
        "{error}"
    );
    assert_eq!(
        server.seen(),
        Vec::<Seen>::new(),
        "nothing is asked for before there is a place to put it"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let (_folder, store, file, digest) = setup();
    let server = FileServer::start(&file, vec![Answer::Good]).await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/m.gguf", nobody.local_addr().unwrap());
    drop(nobody);
    let wanted = Wanted::http(&url, Some(digest)).unwrap();
    let error = fetch(&server, &store, &wanted).await.0.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unavailable);
    assert!(error.to_string().contains("the connection to 127.0.0.1 failed"), "{error}");
}
