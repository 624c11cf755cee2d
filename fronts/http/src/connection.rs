//! One connection: plain or under TLS, as its first byte tells, then HTTP/1.1 until it ends, or HTTP/2 as `http2.rs` has it.

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
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use crate::serve::{Answer, Gate, Security};
use crate::share::Share;
use crate::{body, http2, tls};

/// How long a request's head may take, and how long a connection may be idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The read buffer of a connection: it bounds a request's head; bodies are taken in pieces of at most this size.
const BUFFER_BYTES_MAX: usize = 128 << 10;

/// How long to wait between looks at a connection whose first bytes come one by one.
const BYTE_BY_BYTE: Duration = Duration::from_millis(10);

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
    security: Security,
    answer: Arc<Answer<B>>,
    /// Whose connections are closed at once: those that it refuses.
    gate: Option<Arc<Gate>>,
    /// Requests of HTTP/2 at once, of which a connection may have many: as many as there may be connections.
    room: Arc<Semaphore>,
}

impl<B> Service<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    pub(crate) fn new(security: Security, answer: Arc<Answer<B>>, gate: Option<Arc<Gate>>, share: Share) -> Self {
        let room = Arc::new(Semaphore::new(share.connections()));
        Self { security: security.of_http(), answer, gate, room }
    }

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
            Ok(Begun::Plain(stream, version)) => self.speak(version, stream, Scheme::HTTP, ends, draining).await,
            Ok(Begun::UnderTls(stream, version)) => self.speak(version, *stream, Scheme::HTTPS, ends, draining).await,
            Ok(Begun::Refused(stream)) => refuse(stream).await,
            Err(_) => {}
        }
    }

    async fn speak<S>(&self, version: Version, stream: S, scheme: Scheme, ends: Ends, draining: watch::Receiver<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let begun = |request: &mut Request<Incoming>| {
            request.extensions_mut().insert(ends.peer);
            request.extensions_mut().insert(scheme.clone());
        };
        match version {
            Version::Http1 => self.http1(stream, begun, draining).await,
            Version::Http2 => http2::serve(stream, &self.answer, &self.room, begun, draining).await,
        }
    }

    async fn http1<S>(&self, stream: S, begun: impl Fn(&mut Request<Incoming>), mut draining: watch::Receiver<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|mut request: Request<Incoming>| {
            begun(&mut request);
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

/// What is spoken.
#[derive(Clone, Copy)]
enum Version {
    Http1,
    Http2,
}

/// A connection of which it is known how it is protected, and what is spoken.
enum Begun {
    Plain(TcpStream, Version),
    UnderTls(Box<BehindTls>, Version),
    /// Plain where it may not be.
    Refused(TcpStream),
}

/// What comes behind a handshake, of which the first bytes can be looked at before they are read.
type BehindTls = BufReader<tls::TlsStream<TcpStream>>;

/// What the first bytes of a connection tell.
enum First {
    Plain(Version),
    Tls,
}

impl Security {
    /// The same, with HTTP behind TLS.
    fn of_http(self) -> Self {
        match self {
            Self::Plain => Self::Plain,
            Self::Offered(acceptor) => Self::Offered(acceptor.of_http()),
            Self::Required { acceptor, exempt } => Self::Required { acceptor: acceptor.of_http(), exempt },
        }
    }

    async fn begin(&self, stream: TcpStream, ends: Ends) -> io::Result<Begun> {
        let first = tokio::time::timeout(HEAD_TIMEOUT, first(&stream)).await??;
        match (self, first) {
            (Self::Offered(acceptor) | Self::Required { acceptor, .. }, First::Tls) => {
                let stream = acceptor.accept(stream).await?;
                let mut stream = Box::new(BufReader::with_capacity(http2::BEGINS.len(), stream));
                let version = behind_tls(&mut stream).await?;
                Ok(Begun::UnderTls(stream, version))
            }
            (Self::Required { exempt, .. }, _) if !exempt(ends.peer, ends.here).await => Ok(Begun::Refused(stream)),
            (_, First::Plain(version)) => Ok(Begun::Plain(stream, version)),
            (Self::Plain, First::Tls) => Ok(Begun::Plain(stream, Version::Http1)),
        }
    }
}

/// Looks at the first bytes, which stay to be read.
async fn first(stream: &TcpStream) -> io::Result<First> {
    let mut first = [0; http2::BEGINS.len()];
    loop {
        let came = stream.peek(&mut first).await?;
        match &first[..came] {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            [TLS_BEGINS, ..] => return Ok(First::Tls),
            came if came == http2::BEGINS => return Ok(First::Plain(Version::Http2)),
            came if !http2::BEGINS.starts_with(came) => return Ok(First::Plain(Version::Http1)),
            // What is there has been readable from the beginning: only time tells whether more comes.
            _ => tokio::time::sleep(BYTE_BY_BYTE).await,
        }
    }
}

/// What is spoken behind TLS: what was agreed on; where the client left that open, what its first bytes tell. The AWS SDK for Java
/// does so with services of which it knows that they speak HTTP/2.
async fn behind_tls(stream: &mut BehindTls) -> io::Result<Version> {
    let is_http2 = match tls::agreed_on_http2(stream.get_ref()) {
        Some(agreed) => agreed,
        // Unlike packets, what is sent as one piece comes as one piece here.
        None => tokio::time::timeout(HEAD_TIMEOUT, stream.fill_buf()).await?? == http2::BEGINS,
    };
    Ok(if is_http2 { Version::Http2 } else { Version::Http1 })
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
