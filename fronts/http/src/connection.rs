//! One connection: plain or under TLS, as its first byte tells, then HTTP/1.1 until it ends.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::body;
use crate::serve::{Answer, Gate, Security};

/// How long a request's head may take, and how long a connection may be idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The read buffer of a connection: it bounds a request's head; bodies are taken in pieces of at most this size.
const BUFFER_BYTES_MAX: usize = 128 << 10;

/// What a connection under TLS begins with: a record of a handshake (RFC 8446, section 5.1). No HTTP method does.
const TLS_BEGINS: u8 = 22;

/// A connection's ends: the peer's and this one.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) here: SocketAddr,
}

/// What all connections of a listener are served with.
pub(crate) struct Service<B> {
    pub(crate) security: Security,
    pub(crate) answer: Arc<Answer<B>>,
    /// Whose connections are closed at once: those that it refuses.
    pub(crate) gate: Option<Arc<Gate>>,
}

impl<B> Service<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    /// Serves a connection until it ends, or until what is under way has ended once the listener drains. A client that goes
    /// away or sends no HTTP is its own business.
    pub(crate) async fn serve(&self, stream: TcpStream, ends: Ends, mut draining: watch::Receiver<()>) {
        if let Some(gate) = &self.gate
            && !gate(ends.peer, ends.here).await
        {
            return;
        }
        let begun = tokio::select! {
            begun = self.security.begin(stream, ends) => begun,
            _ = draining.changed() => return,
        };
        match begun {
            Ok(Begun::Plain(stream)) => self.speak(stream, Scheme::HTTP, ends, draining).await,
            Ok(Begun::UnderTls(stream)) => self.speak(*stream, Scheme::HTTPS, ends, draining).await,
            Ok(Begun::Refused(stream)) => refuse(stream).await,
            Err(_) => {}
        }
    }

    async fn speak<S>(&self, stream: S, scheme: Scheme, ends: Ends, mut draining: watch::Receiver<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(ends.peer);
            request.extensions_mut().insert(scheme.clone());
            let answer = (self.answer)(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let mut connection = pin!(http().serve_connection(TokioIo::new(stream), service).with_upgrades());
        tokio::select! {
            _ = connection.as_mut() => {}
            _ = draining.changed() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

fn http() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(BUFFER_BYTES_MAX);
    builder
}

/// A connection of which it is known how it is protected.
enum Begun {
    Plain(TcpStream),
    UnderTls(Box<crate::tls::TlsStream<TcpStream>>),
    /// Plain where it may not be.
    Refused(TcpStream),
}

impl Security {
    async fn begin(&self, stream: TcpStream, ends: Ends) -> io::Result<Begun> {
        let (acceptor, exempt) = match self {
            Self::Plain => return Ok(Begun::Plain(stream)),
            Self::Offered(acceptor) => (acceptor, None),
            Self::Required { acceptor, exempt } => (acceptor, Some(exempt)),
        };
        let mut first = [0];
        if tokio::time::timeout(HEAD_TIMEOUT, stream.peek(&mut first)).await?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[0] == TLS_BEGINS {
            return Ok(Begun::UnderTls(Box::new(acceptor.accept(stream).await?)));
        }
        match exempt {
            Some(exempt) if !exempt(ends.peer, ends.here).await => Ok(Begun::Refused(stream)),
            _ => Ok(Begun::Plain(stream)),
        }
    }
}

/// Says to whoever comes without TLS that it is needed. What came has been readable on its way already.
async fn refuse(stream: TcpStream) {
    let service = service_fn(|request: Request<Incoming>| async {
        body::discard(request.into_body()).await;
        let mut response = Response::new(Full::new(Bytes::from_static(b"expected TLS: ask with https\n")));
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("TLS/1.2, HTTP/1.1"));
        Ok::<_, Infallible>(response)
    });
    let _ = http().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
}
