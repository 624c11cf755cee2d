//! Where requests may go, what is handed on, and how connections are used again.

#![allow(clippy::unwrap_used)]

use std::future::{Future as _, poll_fn};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[tokio::test]
async fn private_addresses_are_refused_unless_allowed() {
    let closed = Backends::new(BackendOptions { private: false, own: vec!["127.0.0.1:1".into()] });
    for (uri, refused) in [
        ("http://127.0.0.1:2/", true),
        ("http://[::1]:2/", true),
        ("http://127.0.0.1:1/", false),
        ("http://example.org/", false),
    ] {
        assert_eq!(closed.reach(&uri.parse().unwrap()).is_err(), refused, "{uri}");
    }
    assert!(matches!(closed.reach(&"ftp://a/".parse().unwrap()), Err(BackendError::Address(_))));
    let request = Request::get("http://localhost:9/").body(Bytes::new()).unwrap();
    let error = closed.send(request, Duration::from_secs(5)).await.unwrap_err().to_string();
    assert!(error.contains("no public address"), "{error}");
}

#[test]
fn headers_of_one_connection_are_not_handed_on() {
    let mut headers = HeaderMap::new();
    for (name, value) in [("connection", "close, x-hop"), ("x-hop", "1"), ("te", "gzip"), ("x-kept", "1")] {
        headers.insert(name, value.parse().unwrap());
    }
    end_to_end(&mut headers);
    assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
}

/// Takes a request without a body; false when the connection ends.
async fn request(stream: &mut TcpStream, head: &mut Vec<u8>) -> bool {
    head.clear();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(head).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

/// A backend that answers so many requests a connection, then closes it without having said so; the answer is the number of
/// the connection and what was asked.
async fn backend(requests: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 1.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                for _ in 0..requests {
                    if !request(&mut stream, &mut head).await {
                        return;
                    }
                    let text = String::from_utf8_lossy(&head);
                    let body = format!("{number} {}", text.lines().next().unwrap());
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    format!("http://{address}")
}

async fn asked(backends: &Backends, uri: &str) -> String {
    let response = backends.send(Request::get(uri).body(Bytes::new()).unwrap(), Duration::from_secs(5)).await.unwrap();
    // So that a close which came with the answer is seen, as it is when there is time between two requests.
    tokio::task::yield_now().await;
    String::from_utf8_lossy(response.body()).into_owned()
}

#[tokio::test]
async fn connections_are_used_again_and_closed_ones_are_replaced() {
    let backends = Backends::new(BackendOptions { private: true, own: Vec::new() });
    let lasting = backend(usize::MAX).await;
    for _ in 0..3 {
        assert_eq!(asked(&backends, &format!("{lasting}/a?b=1")).await, "1 GET /a?b=1 HTTP/1.1");
    }
    assert_eq!(asked(&backends, &lasting).await, "1 GET / HTTP/1.1");
    let closing = backend(2).await;
    for connection in [1, 1, 2, 2, 3] {
        assert_eq!(asked(&backends, &closing).await, format!("{connection} GET / HTTP/1.1"));
    }
    let both = tokio::join!(asked(&backends, &lasting), asked(&backends, &lasting));
    assert_eq!((&both.0[..1], &both.1[..1]), ("1", "2"), "an answer under way has its connection alone");
}

#[tokio::test]
async fn a_request_is_looked_at_when_it_goes_out_and_when_its_answer_is_there() {
    let backends = Backends::new(BackendOptions { private: true, own: Vec::new() });
    let uri = backend(usize::MAX).await;
    asked(&backends, &uri).await;
    let (mut looks, mut asked) = (0, pin!(asked(&backends, &uri)));
    let answer = poll_fn(|context| {
        looks += 1;
        asked.as_mut().poll(context)
    });
    assert_eq!(answer.await, "1 GET / HTTP/1.1");
    assert_eq!(looks, 3, "the third is of `asked` itself");
}

#[tokio::test]
async fn answers_that_come_in_pieces_come_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let pieces = 300;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while request(&mut stream, &mut Vec::new()).await {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            for piece in 0..pieces {
                // Now and then alone, now and then with the next.
                stream.write_all(format!("1000\r\n{piece:4096}\r\n").as_bytes()).await.unwrap();
                if piece % 3 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            stream.write_all(b"0\r\n\r\n").await.unwrap();
        }
    });
    let backends = Backends::new(BackendOptions { private: true, own: Vec::new() });
    let whole: String = (0..pieces).map(|piece| format!("{piece:4096}")).collect();
    for _ in 0..2 {
        assert_eq!(asked(&backends, &uri).await, whole);
    }
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_not_asked_again_on_the_same_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let backends = Backends::new(BackendOptions { private: true, own: Vec::new() });
    let request = || Request::get(uri.as_str()).body(Bytes::new()).unwrap();
    for _ in 0..2 {
        let answered = backends.send(request(), Duration::from_millis(20)).await;
        assert!(matches!(answered, Err(BackendError::TimedOut(20))), "{answered:?}");
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = Vec::new();
        stream.read_to_end(&mut sent).await.unwrap();
        assert!(sent.starts_with(b"GET / HTTP/1.1\r\n"), "sent, then closed");
    }
}

#[test]
fn the_host_is_named_without_the_usual_port() {
    for (uri, expected) in [
        ("http://a.example/", "a.example"),
        ("http://a.example:80/", "a.example"),
        ("https://a.example:443/", "a.example"),
        ("https://a.example:80/", "a.example:80"),
        ("http://me:secret@a.example:8080/", "a.example:8080"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ] {
        let uri: Uri = uri.parse().unwrap();
        let secure = uri.scheme_str() == Some("https");
        assert_eq!(host(secure, uri.authority().unwrap()).unwrap(), expected, "{uri}");
    }
}
