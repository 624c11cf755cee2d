//! The listener: HTTP/1.1 connections, bounded in number, in time and in what they may hold.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use millstream_types::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::share::Share;

/// How long a request's head may take, and how long a connection may be idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The read buffer of a connection: it bounds a request's head; bodies are taken in pieces of at most this size.
const BUFFER_BYTES_MAX: usize = 128 << 10;

/// How long requests under way may take to end once the node stops.
const DRAIN: Duration = Duration::from_secs(20);

/// What answers requests. A trait object, so that the listener is compiled once and with this crate.
pub type Answer<B = Full<Bytes>> = dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<B>> + Send + Sync;

/// Whether a connection from the first address to the second one may be served.
pub type Gate = dyn Fn(SocketAddr, SocketAddr) -> BoxFuture<'static, bool> + Send + Sync;

/// A body that comes while it is sent, as live pages do.
pub type LiveBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// Serves until `shutdown` resolves, then lets requests under way end; connections that have left HTTP by an upgrade are not
/// waited for. Each request carries the peer's `SocketAddr` in its extensions.
#[must_use]
pub fn serve(
    listener: TcpListener,
    share: Share,
    answer: Arc<Answer>,
    shutdown: BoxFuture<'static, ()>,
) -> BoxFuture<'static, ()> {
    Box::pin(accept(listener, share, answer, None, shutdown))
}

/// As [`serve`], for answers that may never end: whoever stops it drops it. Connections that `gate` refuses are closed.
#[must_use]
pub fn serve_live(
    listener: TcpListener,
    share: Share,
    answer: Arc<Answer<LiveBody>>,
    gate: Arc<Gate>,
) -> BoxFuture<'static, ()> {
    Box::pin(accept(listener, share, answer, Some(gate), Box::pin(std::future::pending())))
}

async fn accept<B>(
    listener: TcpListener,
    share: Share,
    answer: Arc<Answer<B>>,
    gate: Option<Arc<Gate>>,
    mut shutdown: BoxFuture<'static, ()>,
) where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let connections = Arc::new(Semaphore::new(share.connections()));
    let drain = watch::Sender::new(());
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { break };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: connections that end make room.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        let _ = stream.set_nodelay(true);
        // An address that cannot be told belongs to a connection that has ended already.
        let Ok(here) = stream.local_addr() else { continue };
        let gate = gate.clone();
        let answer = Arc::clone(&answer);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let answer = answer(request);
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut draining = drain.subscribe();
        tokio::spawn(async move {
            if let Some(gate) = gate
                && !gate(peer, here).await
            {
                return;
            }
            let mut connection = pin!(connection);
            // A client that goes away or sends no HTTP is its own business.
            tokio::select! {
                _ = connection.as_mut() => {}
                _ = draining.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop((permit, draining));
        });
    }
    drain.send_replace(());
    let _ = tokio::time::timeout(DRAIN, drain.closed()).await;
}
