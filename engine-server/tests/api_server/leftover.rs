//! A request that is refused before its body has come: the answer arrives, and the connection can be used again or says that
//! it cannot.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Setup, TestServer};

const BODY: &str = "{\"model\": \"smollm2\"}";

/// The head of a request with a key that no server knows how to read.
fn refused(length: usize) -> String {
    format!(
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Basic YTpi\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Sends a head and waits until the server has judged it.
async fn judged(server: &TestServer, stream: &mut TcpStream, head: &str) {
    let failures = async || server.metric("realm_auth_failures_total", &[]).await;
    let before = failures().await;
    stream.write_all(head.as_bytes()).await.expect("sent");
    server.until("the head is judged", async || failures().await > before).await;
}

/// An answer's head and body.
async fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.expect("an answer");
        text.push_str(std::str::from_utf8(&piece[..read]).expect("text"));
        assert!(read > 0, "cut: {text}");
        if text.contains("\r\n\r\n") && text.ends_with('}') {
            return text;
        }
    }
}

#[tokio::test]
async fn a_body_that_comes_late_leaves_the_connection_open() {
    let server = Setup::default().serve().await;
    let mut stream = TcpStream::connect(server.api).await.expect("a connection");
    for _ in 0..3 {
        judged(&server, &mut stream, &refused(BODY.len())).await;
        stream.write_all(BODY.as_bytes()).await.expect("the connection is open");
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    server.stop().await.expect("a clean end");
}

#[tokio::test]
async fn a_body_that_never_comes_or_is_long_ends_the_connection() {
    let server = Setup::default().serve().await;
    for (length, sent) in [(BODY.len(), 0), (3 << 20, 2 << 20)] {
        let mut stream = TcpStream::connect(server.api).await.expect("a connection");
        judged(&server, &mut stream, &refused(length)).await;
        let (mut read, mut write) = stream.split();
        let body = vec![b' '; sent];
        let sending = async {
            // The server may stop reading before everything is sent.
            let _ = write.write_all(&body).await;
        };
        let reading = async {
            let mut head = [0; 12];
            read.read_exact(&mut head).await.expect("an answer");
            let mut rest = Vec::new();
            let _ = read.read_to_end(&mut rest).await;
            (head, String::from_utf8_lossy(&rest).into_owned())
        };
        let ((), (head, rest)) = tokio::join!(sending, reading);
        assert_eq!(&head, b"HTTP/1.1 401");
        assert!(rest.contains("connection: close"), "{length}: {rest}");
    }
    server.stop().await.expect("a clean end");
}
