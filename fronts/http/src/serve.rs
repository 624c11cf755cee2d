//! The listener: connections bounded in number, in time and in what they may hold.
//! Read next: `connection.rs` (what becomes of one), `workers.rs` (where it is served), `share.rs` (how many there may be), `tls.rs`.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Extensions, Request, Response};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Incoming};
use millstream_types::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::answer_body::AnswerBody;
use crate::connection::{Ends, Service};
use crate::share::Share;
use crate::tls::Acceptor;
use crate::workers::Workers;

/// How long requests under way may take to end once the node stops.
const DRAIN: Duration = Duration::from_secs(20);

/// What answers requests. A trait object, so that the listener is compiled once and with this crate.
pub type Answer<B = Full<Bytes>> = dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<B>> + Send + Sync;

/// Whether something holds for a connection from the first address to the second one.
pub type Gate = dyn Fn(SocketAddr, SocketAddr) -> BoxFuture<'static, bool> + Send + Sync;

/// A body that comes while it is sent, as live pages do.
pub type LiveBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// How a listener's connections are protected.
#[derive(Clone)]
pub enum Security {
    /// None is.
    Plain,
    /// Those that begin with TLS are; others are taken too.
    Offered(Acceptor),
    /// All have to be; whoever comes without TLS is told so.
    Required {
        /// Takes connections under TLS.
        acceptor: Acceptor,
        /// Who may come without it all the same.
        exempt: Arc<Gate>,
    },
}

/// The scheme of the address under which a request came, which its extensions tell: `https` under TLS, else `http`.
#[must_use]
pub fn scheme(extensions: &Extensions) -> &'static str {
    if extensions.get::<Scheme>() == Some(&Scheme::HTTPS) { "https" } else { "http" }
}

/// Serves until `shutdown` resolves, then lets requests under way end; connections that have left HTTP by an upgrade are not
/// waited for. Each request carries the peer's `SocketAddr` and its [`Scheme`] in its extensions.
#[must_use]
pub fn serve(
    listener: TcpListener,
    share: Share,
    security: Security,
    answer: Arc<Answer>,
    shutdown: BoxFuture<'static, ()>,
) -> BoxFuture<'static, ()> {
    Box::pin(accept(listener, share, Service::new(security, answer, None, share), None, shutdown))
}

/// As [`serve`], by `workers`, and for answers of which some come by and by; those have to end by themselves when the node stops.
#[must_use]
pub fn serve_some_live(
    listener: TcpListener,
    workers: Workers,
    share: Share,
    security: Security,
    answer: Arc<Answer<AnswerBody>>,
    shutdown: BoxFuture<'static, ()>,
) -> BoxFuture<'static, ()> {
    Box::pin(accept(listener, share, Service::new(security, answer, None, share), Some(workers), shutdown))
}

/// As [`serve`], for answers that may never end: whoever stops it drops it. Connections for which `gate` does not hold are
/// closed.
#[must_use]
pub fn serve_live(
    listener: TcpListener,
    share: Share,
    security: Security,
    answer: Arc<Answer<LiveBody>>,
    gate: Arc<Gate>,
) -> BoxFuture<'static, ()> {
    let service = Service::new(security, answer, Some(gate), share);
    Box::pin(accept(listener, share, service, None, Box::pin(std::future::pending())))
}

async fn accept<B>(
    listener: TcpListener,
    share: Share,
    service: Service<B>,
    workers: Option<Workers>,
    mut shutdown: BoxFuture<'static, ()>,
) where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let service = Arc::new(service);
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
        let (service, draining) = (Arc::clone(&service), drain.subscribe());
        let serve = async move |stream| {
            service.serve(stream, Ends { peer, here }, draining).await;
            drop(permit);
        };
        match &workers {
            None => drop(tokio::spawn(serve(stream))),
            Some(workers) => {
                let Ok(stream) = stream.into_std() else { continue };
                workers.serve(|| {
                    Box::pin(async move {
                        if let Ok(stream) = TcpStream::from_std(stream) {
                            serve(stream).await;
                        }
                    })
                });
            }
        }
    }
    drain.send_replace(());
    let _ = tokio::time::timeout(DRAIN, drain.closed()).await;
}
