//! The listener: connections within a number, plain or under TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection;
use super::tls::Acceptor;
use crate::eventhubs::EventHubs;

/// Connections at once; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 5_000;

/// Connections that the system may keep waiting.
const BACKLOG: i32 = 1_024;

/// Bytes of a segment. A client in wide use reads this number after it has connected and sets it again, which the system
/// refuses for the number of a loopback interface: it has to be a smaller one from the beginning.
const SEGMENT_BYTES: u32 = 16_000;

/// How long the handshake of TLS may take.
const TLS_HANDSHAKE: Duration = Duration::from_secs(10);

/// Takes an address for [`serve`].
///
/// # Errors
/// The system's: the address is in use.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_mss(SEGMENT_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `stopped` says so, then lets connections say good-bye.
pub async fn serve(
    hubs: EventHubs,
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: connections that end make room.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stop(&mut stopped) => break,
        };
        let _ = stream.set_nodelay(true);
        let (hubs, acceptor, stopped) = (hubs.clone(), acceptor.clone(), stopped.clone());
        tasks.spawn(async move {
            match acceptor {
                None => connection::serve(hubs, stream, stopped).await,
                Some(acceptor) => {
                    // A client that fails to agree is its own business.
                    if let Ok(Ok(stream)) = tokio::time::timeout(TLS_HANDSHAKE, acceptor.accept(stream)).await {
                        connection::serve(hubs, stream, stopped).await;
                    }
                }
            }
            drop(permit);
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
}

/// Waits until the node stops.
pub async fn stop(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone is a node that is gone.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
