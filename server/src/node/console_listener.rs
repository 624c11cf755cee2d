//! The console's listener. The console asks for no credentials, because it listens only where people of this machine are;
//! functions are there too, and are refused.

use std::io;
use std::net::SocketAddr;

use axum::serve::Listener;
use millstream_function::may_be_function;
use tokio::net::{TcpListener, TcpStream};

/// A listener that functions cannot reach.
pub struct ConsoleListener(pub TcpListener);

impl Listener for ConsoleListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let (stream, peer) = Listener::accept(&mut self.0).await;
            let Ok(here) = stream.local_addr() else { continue };
            let doubtful = tokio::task::spawn_blocking(move || may_be_function(peer, here)).await;
            if !doubtful.unwrap_or(true) {
                return (stream, peer);
            }
            tracing::warn!(%peer, "a connection to the console is refused: it may come from a function");
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
