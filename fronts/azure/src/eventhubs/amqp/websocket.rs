//! AMQP inside a WebSocket, for clients that may only go out by HTTP: the upgrade, and the bytes of binary messages as a
//! stream. Knows nothing of AMQP itself.
//!
//! Source: OASIS AMQP WebSocket Binding 1.0; the address is the service's own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::{Sink, Stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Semaphore, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::connection;
use crate::eventhubs::EventHubs;

/// Where clients ask for it.
const PATH: &str = "/$servicebus/websocket";
/// What they call the protocol inside; the first is the binding's name, the second what some clients say.
const PROTOCOLS: [&str; 2] = ["AMQPWSB10", "amqp"];
/// Connections at once; each holds what an AMQP connection does.
const CONNECTIONS_MAX: usize = 1_000;
/// Bytes of a message: several frames of AMQP, which clients may put into one.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Bytes of a request that asks for the upgrade.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// How long it may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a message to a client.
const SENT_BYTES_MAX: usize = 64 << 10;

/// Takes connections that come by HTTP. Cheap to clone.
#[derive(Clone)]
pub struct WebSockets {
    hubs: EventHubs,
    stopped: watch::Receiver<bool>,
    connections: Arc<Semaphore>,
}

impl WebSockets {
    /// The door to the service; connections end when `stopped` says so.
    #[must_use]
    pub fn new(hubs: EventHubs, stopped: watch::Receiver<bool>) -> Self {
        Self { hubs, stopped, connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }

    /// Whether a request's head asks for this.
    #[must_use]
    pub fn is_meant(head: &http::request::Parts) -> bool {
        let path = percent_encoding::percent_decode_str(head.uri.path()).decode_utf8_lossy();
        path.trim_end_matches('/').eq_ignore_ascii_case(PATH)
    }

    /// Serves a connection that begins with HTTP and asks for nothing else.
    pub(super) async fn serve<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request: Request<Incoming>| async {
            let (head, body) = request.into_parts();
            let response = if Self::is_meant(&head) {
                self.upgrade(Request::from_parts(head, body))
            } else {
                refusal(StatusCode::NOT_FOUND, format!("expected AMQP, or a WebSocket at {PATH}\n"))
            };
            Ok::<_, std::convert::Infallible>(response.map(Full::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        // A client that goes away or sends no HTTP is its own business.
        let _ = connection.await;
    }

    /// Agrees to speak AMQP in a WebSocket from here on, or says why not.
    pub fn upgrade(&self, mut request: Request<Incoming>) -> Response<Bytes> {
        let agreed = match agree(request.method(), request.headers()) {
            Ok(agreed) => agreed,
            Err(disagreement) => return disagreement.answer(),
        };
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            let text = format!("there are {CONNECTIONS_MAX} such connections already; try again later\n");
            return refusal(StatusCode::SERVICE_UNAVAILABLE, text);
        };
        let upgrading = hyper::upgrade::on(&mut request);
        let (hubs, stopped) = (self.hubs.clone(), self.stopped.clone());
        tokio::spawn(async move {
            // A client that goes away before the upgrade is its own business.
            if let Ok(upgraded) = upgrading.await {
                let config = WebSocketConfig::default()
                    .max_message_size(Some(MESSAGE_BYTES_MAX))
                    .max_frame_size(Some(MESSAGE_BYTES_MAX));
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
                connection::serve(hubs, BinaryMessages { socket, rest: Bytes::new() }, stopped).await;
            }
            drop(permit);
        });
        agreed
    }
}

/// Why a request does not become a WebSocket.
#[derive(Debug)]
struct Disagreement {
    status: StatusCode,
    why: &'static str,
}

impl Disagreement {
    fn answer(self) -> Response<Bytes> {
        let mut response = refusal(self.status, format!("{}\n", self.why));
        if self.status == StatusCode::UPGRADE_REQUIRED {
            response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// The answer to a head that asks for the protocol as it should.
fn agree(method: &Method, headers: &HeaderMap) -> Result<Response<Bytes>, Disagreement> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let lists = |name, word: &str| text(name).split(',').any(|found| found.trim().eq_ignore_ascii_case(word));
    let bad = |why| Err(Disagreement { status: StatusCode::BAD_REQUEST, why });
    if method != Method::GET || !lists(header::UPGRADE, "websocket") || !lists(header::CONNECTION, "upgrade") {
        return bad("expected GET with the headers of an upgrade to websocket");
    }
    if text(header::SEC_WEBSOCKET_VERSION) != "13" {
        let why = "expected version 13 of the protocol";
        return Err(Disagreement { status: StatusCode::UPGRADE_REQUIRED, why });
    }
    let key = text(header::SEC_WEBSOCKET_KEY);
    if key.is_empty() {
        return bad("expected a Sec-WebSocket-Key");
    }
    let Some(protocol) = PROTOCOLS.iter().find(|known| lists(header::SEC_WEBSOCKET_PROTOCOL, known)) else {
        return bad("expected AMQPWSB10 in Sec-WebSocket-Protocol");
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    match HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        Ok(accepted) => answer.insert(header::SEC_WEBSOCKET_ACCEPT, accepted),
        Err(_) => return bad("expected a Sec-WebSocket-Key that is base64"),
    };
    Ok(response)
}

fn refusal(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response
}

/// The bytes of a WebSocket's binary messages, one after the other.
struct BinaryMessages<S> {
    socket: WebSocketStream<S>,
    /// What is left of the last message.
    rest: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for BinaryMessages<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "expected binary messages")));
                }
                // Pings are answered with the next write or read.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
            }
        }
        let taken = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..taken]);
        self.rest.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for BinaryMessages<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(failed)?;
        let sent = &bytes[..bytes.len().min(SENT_BYTES_MAX)];
        Pin::new(&mut self.socket).start_send(Message::Binary(Bytes::copy_from_slice(sent))).map_err(failed)?;
        Poll::Ready(Ok(sent.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context).map_err(failed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context).map_err(failed)
    }
}

fn failed(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_a_whole_request_is_agreed_to() {
        let whole = [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "mqtt, amqp"),
        ];
        let agreed = agree(&Method::GET, &headers(&whole)).unwrap();
        assert_eq!(agreed.status(), StatusCode::SWITCHING_PROTOCOLS);
        // The example of RFC 6455, section 1.3.
        assert_eq!(agreed.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(agreed.headers()["sec-websocket-protocol"], "amqp");
        for missing in 0..whole.len() {
            let mut less = whole.to_vec();
            let (name, _) = less.remove(missing);
            assert!(agree(&Method::GET, &headers(&less)).is_err(), "{name}");
        }
        assert!(agree(&Method::POST, &headers(&whole)).is_err());
    }

    #[tokio::test]
    async fn messages_are_a_stream_of_bytes() {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let socket = WebSocketStream::from_raw_socket(ours, Role::Server, None).await;
        let mut stream = BinaryMessages { socket, rest: Bytes::new() };
        let mut client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        for part in ["AM", "", "QP"] {
            client.send(Message::Binary(Bytes::from_static(part.as_bytes()))).await.unwrap();
        }
        client.send(Message::Ping(Bytes::new())).await.unwrap();
        let mut read = [0; 4];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"AMQP");
        let long = vec![7; SENT_BYTES_MAX + 1];
        stream.write_all(&long).await.unwrap();
        stream.flush().await.unwrap();
        let mut got = 0;
        while got < long.len() {
            if let Message::Binary(bytes) = client.next().await.unwrap().unwrap() {
                got += bytes.len();
            }
        }
        client.send(Message::Text("no".into())).await.unwrap();
        assert_eq!(stream.read(&mut read).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
