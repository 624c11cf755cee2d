//! A connection of HTTP/2: how much of it may be under way, how long it may be idle, and its requests made to look as those of
//! HTTP/1.1 do, so that nobody behind needs to know which of both came.

use std::convert::Infallible;
use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::serve::Answer;

/// What a client begins with that knows that HTTP/2 is spoken here (RFC 9113, section 3.4): its first bytes are no method of
/// HTTP/1.1.
pub(crate) const BEGINS: &[u8; 4] = b"PRI ";

/// Requests of one connection that may be under way at once; the client keeps others back.
const STREAMS_MAX: u32 = 100;

/// Bytes of a request's headers unpacked, each counted with 32 more (RFC 9113, section 6.5.2). More is answered with 431.
const HEADER_LIST_BYTES_MAX: u32 = 32 << 10;

/// Bytes of a body that may be on their way before they are taken, as many as a connection of HTTP/1.1 reads ahead.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;

/// The same of all bodies of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 512 << 10;

/// Bytes of an answer that wait for a client.
const SEND_BYTES_MAX: usize = 128 << 10;

/// Requests that may be waiting to be looked at although their client has taken them back. Whoever has more only makes work, and
/// its connection ends (CVE-2023-44487).
const RESETS_MAX: usize = 20;

/// Streams that may have ended by their client's mistakes before the connection does: mistakes make work too.
const MISTAKES_MAX: usize = 100;

/// How often a peer is asked whether it is there, and how long it may take to say so.
const ALIVE_EVERY: Duration = Duration::from_secs(30);

/// How long a connection may be without a request before it is asked to end, and after that again before it is cut.
const IDLE: Duration = Duration::from_secs(60);

/// Serves a connection until it ends, is idle, or until what is under way has ended once the listener drains. A request waits for
/// its share of `room`; `begun` marks each one before it is answered.
pub(crate) async fn serve<S, B>(
    stream: S,
    answer: &Arc<Answer<B>>,
    room: &Arc<Semaphore>,
    begun: impl Fn(&mut Request<Incoming>),
    mut draining: watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let requests = Arc::new(Requests::default());
    let service = service_fn(|mut request: Request<Incoming>| {
        let counted = Counted::one_of(&requests);
        let (answer, room) = (Arc::clone(answer), Arc::clone(room));
        as_http1(&mut request);
        begun(&mut request);
        async move {
            let permit = room.acquire_owned().await.ok();
            let response = answer(request).await;
            Ok::<_, Infallible>(response.map(|body| OpenBody { body, _counted: counted, _permit: permit }))
        }
    });
    let mut connection = pin!(http2().serve_connection(TokioIo::new(stream), service));
    let mut leaving = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = draining.changed(), if !leaving => {}
            () = requests.idle() => if leaving { return },
        }
        leaving = true;
        connection.as_mut().graceful_shutdown();
    }
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(ALIVE_EVERY)
        .keep_alive_timeout(ALIVE_EVERY)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(MISTAKES_MAX);
    builder
}

/// Puts the host where HTTP/1.1 has it, which signatures are made over, and cookies into one header.
fn as_http1(request: &mut Request<Incoming>) {
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    let cookies: Vec<&[u8]> = request.headers().get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(cookies) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        request.headers_mut().insert(header::COOKIE, cookies);
    }
}

/// The requests of a connection.
#[derive(Default)]
struct Requests {
    /// Those under way.
    open: AtomicUsize,
    /// All that there were.
    begun: AtomicUsize,
}

impl Requests {
    /// Waits until there was no request for a while.
    async fn idle(&self) {
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(IDLE).await;
            if self.open.load(Ordering::Relaxed) == 0 && self.begun.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

/// A request under way.
struct Counted(Arc<Requests>);

impl Counted {
    fn one_of(requests: &Arc<Requests>) -> Self {
        requests.open.fetch_add(1, Ordering::Relaxed);
        requests.begun.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(requests))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body, with which the request ends.
struct OpenBody<B> {
    body: B,
    _counted: Counted,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<B: Body + Unpin> Body for OpenBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
