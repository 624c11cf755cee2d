//! Bodies over a real connection.

#![allow(clippy::unwrap_used)]

#[path = "it/http2.rs"]
mod http2;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use millstream_http::body::{self, BodyError};
use millstream_http::serve::{Security, serve};
use millstream_http::share::Share;
use millstream_types::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a body that the listener takes.
const LIMIT: usize = 1_000;

async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, body) = match body::take(request.into_body(), LIMIT).await {
        Ok(taken) => (200, taken.bytes),
        Err(error @ BodyError::TooLarge(_)) => (413, Bytes::from(error.to_string())),
        Err(error) => (400, Bytes::from(error.to_string())),
    };
    Response::builder().status(status).body(Full::new(body)).unwrap()
}

/// A connection to a listener that answers so.
async fn listener<F>(answer: F) -> TcpStream
where
    F: Fn(Request<Incoming>) -> BoxFuture<'static, Response<Full<Bytes>>> + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Share::Portal, Security::Plain, Arc::new(answer), Box::pin(std::future::pending())));
    TcpStream::connect(address).await.unwrap()
}

async fn client() -> TcpStream {
    listener(|request| Box::pin(answer(request))).await
}

/// Everything that is answered until the listener ends the connection, which the request asks for.
async fn answered(client: &mut TcpStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn whoever_sends_too_much_reads_why() {
    // More than the system keeps between both ends: an answer without a look at it would be a broken pipe.
    let much = vec![b'a'; 16 << 20];
    let mut sender = client().await;
    let head = format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", much.len());
    sender.write_all(head.as_bytes()).await.unwrap();
    sender.write_all(&much).await.unwrap();
    assert!(answered(&mut sender).await.starts_with("HTTP/1.1 413"));

    let mut sender = client().await;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        much.len()
    );
    sender.write_all(head.as_bytes()).await.unwrap();
    sender.write_all(&much).await.unwrap();
    sender.write_all(b"\r\n0\r\n\r\n").await.unwrap();
    let answer = answered(&mut sender).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("at most 1000 bytes"), "{answer}");
}

#[tokio::test]
async fn bodies_come_whole_in_one_piece_or_in_several() {
    for request in
        ["content-length: 5\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"]
    {
        let mut sender = client().await;
        let request = format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{request}");
        sender.write_all(request.as_bytes()).await.unwrap();
        let answer = answered(&mut sender).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    }
}
