//! The listener: connections within a number, plain or under TLS. A client that begins with HTTP gets to its WebSocket here
//! too, so that the address in its connection string serves either way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millstream_http::share::Share;
use millstream_http::tls::Acceptor;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection;
use super::websocket::WebSockets;
use crate::eventhubs::EventHubs;

/// Connections that the system may keep waiting.
const BACKLOG: i32 = 1_024;

/// Bytes of a segment. A client in wide use reads this number after it has connected and sets it again, which the system
/// refuses for the number of a loopback interface: it has to be a smaller one from the beginning.
const SEGMENT_BYTES: u32 = 16_000;

/// How long a client may take to say its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// What a client begins with that asks for a WebSocket: the first letter of GET. AMQP begins with its own name.
const HTTP_BEGINS: u8 = b'G';

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
    let web_sockets = WebSockets::new(hubs.clone(), stopped.clone());
    let connections = Arc::new(Semaphore::new(Share::Amqp.connections()));
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
        let client = Client { hubs: hubs.clone(), web_sockets: web_sockets.clone(), stopped: stopped.clone() };
        let acceptor = acceptor.clone();
        tasks.spawn(async move {
            // A client that fails to agree is its own business.
            let _ = match acceptor {
                None => client.plain(stream).await,
                Some(acceptor) => client.under_tls(stream, &acceptor).await,
            };
            drop(permit);
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
}

/// What a client that has connected may speak to.
struct Client {
    hubs: EventHubs,
    web_sockets: WebSockets,
    stopped: watch::Receiver<bool>,
}

impl Client {
    async fn plain(mut self, stream: TcpStream) -> io::Result<()> {
        let peeked = async {
            let mut first = [0];
            let came = stream.peek(&mut first).await?;
            Ok(first.get(..came).and_then(<[u8]>::first).copied())
        };
        let first = self.first_byte(peeked).await?;
        self.speak(first, stream).await;
        Ok(())
    }

    async fn under_tls(mut self, stream: TcpStream, acceptor: &Acceptor) -> io::Result<()> {
        // As long as one byte: what comes behind the first goes past the buffer.
        let mut stream = BufReader::with_capacity(1, acceptor.accept(stream).await?);
        let first = self.first_byte(async { Ok(stream.fill_buf().await?.first().copied()) }).await?;
        self.speak(first, stream).await;
        Ok(())
    }

    /// Waits for the first byte, which stays to be read, but not long and not when the node stops.
    async fn first_byte(&mut self, byte: impl Future<Output = io::Result<Option<u8>>>) -> io::Result<u8> {
        let came = tokio::select! {
            came = tokio::time::timeout(FIRST_BYTE, byte) => came??,
            () = stop(&mut self.stopped) => None,
        };
        came.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    async fn speak<S>(self, first: u8, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match first {
            HTTP_BEGINS => self.web_sockets.serve(stream).await,
            _ => connection::serve(self.hubs, stream, self.stopped).await,
        }
    }
}

/// Waits until the node stops.
pub async fn stop(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone is a node that is gone.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
