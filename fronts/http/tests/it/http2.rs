//! HTTP/2 on the port of HTTP/1.1: requests side by side that look as those of HTTP/1.1, and what a client may not do.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use millstream_http::body;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use crate::{LIMIT, listener};

/// What a client begins with, and settings of which none differs.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Types of frames (RFC 9113, section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// A GET of `/` from the host `h`, by HPACK's static table.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'h'];

/// Answers with what it sees of a request: address, host, cookies, body. Of requests for `/together` only when there are three.
async fn seen(request: Request<Incoming>, together: Arc<Barrier>) -> Response<Full<Bytes>> {
    if request.uri().path() == "/together" {
        together.wait().await;
    }
    let headers = request.headers();
    let values = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join("|");
    let seen = format!("{} {} {}", request.uri(), values(header::HOST), values(header::COOKIE));
    let taken = body::take(request.into_body(), LIMIT).await.unwrap();
    Response::new(Full::from([seen.as_bytes(), b" ", &taken.bytes].concat()))
}

async fn connected() -> TcpStream {
    let together = Arc::new(Barrier::new(3));
    listener(move |request| Box::pin(seen(request, Arc::clone(&together)))).await
}

async fn client() -> SendRequest<Full<Bytes>> {
    let stream = TokioIo::new(connected().await);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The payload of the next frame of a kind that the listener sends.
async fn next(kind: u8, stream: &mut TcpStream) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == kind {
            return payload;
        }
    }
}

#[tokio::test]
async fn requests_go_side_by_side_and_look_as_others_do() {
    let sender = client().await;
    let ask = |number: usize| {
        let mut sender = sender.clone();
        let request = Request::post("http://data.example:4566/together?a=b")
            .header(header::COOKIE, "a=1")
            .header(header::COOKIE, "b=2")
            .body(Full::from(format!("body {number}")));
        async move {
            let response = sender.send_request(request.unwrap()).await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        }
    };
    let (first, second, third) = tokio::join!(ask(1), ask(2), ask(3));
    assert_eq!(first, "/together?a=b data.example:4566 a=1; b=2 body 1");
    assert_eq!(second, "/together?a=b data.example:4566 a=1; b=2 body 2");
    assert_eq!(third, "/together?a=b data.example:4566 a=1; b=2 body 3");
}

#[tokio::test]
async fn limits_are_told_and_kept() {
    let mut stream = connected().await;
    stream.write_all(PREFACE).await.unwrap();
    let settings = next(SETTINGS, &mut stream).await;
    let told = |id: u8| settings.chunks(6).find(|setting| setting[1] == id).map(|setting| &setting[2..]);
    assert_eq!(told(3), Some(&100_u32.to_be_bytes()[..]), "streams at once");
    assert_eq!(told(6), Some(&(32_u32 << 10).to_be_bytes()[..]), "bytes of headers");

    let much = Request::get("http://h/").header("much", "a".repeat(33 << 10)).body(Full::default()).unwrap();
    let response = client().await.send_request(much).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn who_takes_back_what_it_asks_again_and_again_is_cut_off() {
    let mut stream = connected().await;
    let mut flood = PREFACE.to_vec();
    for stream in (1..1_000).step_by(2) {
        flood.extend(frame(HEADERS, 0x5, stream, GET));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    stream.write_all(&flood).await.unwrap();
    let last = next(GOAWAY, &mut stream).await;
    assert_eq!(last[4..8], 11_u32.to_be_bytes(), "enhance your calm: {last:?}");
}

#[tokio::test]
async fn what_begins_alike_is_told_apart() {
    let mut stream = connected().await;
    for part in ["P", "UT / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 1\r\n\r\nb"] {
        stream.write_all(part.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // The listener looks at what is there.
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    assert!(crate::answered(&mut stream).await.ends_with("/ h  b"));
    let mut stream = connected().await;
    stream.write_all(&PREFACE[..3]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    stream.write_all(&[&PREFACE[3..], &frame(HEADERS, 0x5, 1, GET)].concat()).await.unwrap();
    assert!(!next(HEADERS, &mut stream).await.is_empty());
}
