//! The listener: connections within a number, plain or under TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millstream_http::tls::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::connection;
use crate::service::Kafka;
use crate::session::Session;

/// Serves at most so many connections at once until `stopped` says so, then lets them answer what they have taken. A client
/// has one for each broker and one more for its group; more wait in the system's queue.
pub async fn serve(
    kafka: Kafka,
    listener: TcpListener,
    tls: Option<Acceptor>,
    connections_max: usize,
    mut stopped: watch::Receiver<bool>,
) {
    let connections = Arc::new(Semaphore::new(connections_max));
    let mut tasks = JoinSet::new();
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
            () = stop(&mut stopped) => break,
        };
        let _ = stream.set_nodelay(true);
        let (kafka, tls, stopped) = (kafka.clone(), tls.clone(), stopped.clone());
        tasks.spawn(async move {
            // A client that fails to agree is its own business.
            let _ = client(kafka, stream, peer, tls, stopped).await;
            drop(permit);
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
}

async fn client(
    kafka: Kafka,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Acceptor>,
    stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let own = stream.local_addr()?;
    let host = peer.ip().to_string();
    match tls {
        None => {
            let session = Session::new(&kafka, host, (own.ip().to_string(), own.port()));
            connection::serve(kafka, session, stream, stopped).await;
        }
        Some(tls) => {
            let stream = tls.accept(stream).await?;
            // The name that the client knows is one that the certificate has.
            let name = stream.get_ref().1.server_name().map_or_else(|| own.ip().to_string(), str::to_owned);
            let session = Session::new(&kafka, host, (name, own.port()));
            connection::serve(kafka, session, stream, stopped).await;
        }
    }
    Ok(())
}

/// Waits until the node stops.
pub(crate) async fn stop(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone is a node that is gone.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
