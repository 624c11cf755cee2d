//! A connection over a socket: bytes between the two, as many as fit, and the clock.
//!
//! Reading and writing go on at the same time, so two peers that both write cannot block each other. What came in one
//! burst is answered in one write.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::connection::{Connection, Event, Options};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// Bytes that wait for the peer to read before nothing more of it is read.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// How long a peer may take to read what is left and to go when the connection ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// A connection and its socket.
pub struct Wire<S> {
    stream: S,
    input: BytesMut,
    connection: Connection,
    began: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A connection over a socket whose peer has sent nothing yet.
    pub fn new(stream: S, options: Options) -> Self {
        Self { stream, input: BytesMut::new(), connection: Connection::new(options, 0), began: Instant::now() }
    }

    /// The connection.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The next event from what came.
    pub fn next_event(&mut self) -> Option<Event> {
        let now = self.now();
        self.connection.next_event(&mut self.input, now)
    }

    /// Waits until bytes came or went or the clock asks for something; `read`: whether bytes may come at all. May be
    /// dropped at any point.
    ///
    /// # Errors
    /// The socket's; [`io::ErrorKind::UnexpectedEof`] when the peer has gone.
    pub async fn progress(&mut self, read: bool) -> io::Result<()> {
        let deadline = self.began + Duration::from_millis(self.connection.deadline());
        match timeout_at(deadline, poll_fn(|context| self.poll(context, read))).await {
            Ok(moved) => moved,
            Err(_) => {
                let now = self.now();
                self.connection.tick(now);
                Ok(())
            }
        }
    }

    /// Writes what is left and ends the socket. What the peer still sends is read and dropped: a socket that is closed with
    /// bytes unread takes back what was written last.
    pub async fn finish(mut self) {
        let farewell = async {
            self.stream.write_all(self.connection.output()).await?;
            self.stream.shutdown().await?;
            self.input.clear();
            while self.stream.read_buf(&mut self.input).await? > 0 {
                self.input.clear();
            }
            io::Result::Ok(())
        };
        // A peer that does not read or does not go away loses its say after a while.
        let _ = timeout(FAREWELL, farewell).await;
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn poll(&mut self, context: &mut Context<'_>, read: bool) -> Poll<io::Result<()>> {
        let wrote = self.poll_write(context)?;
        let read = read && self.connection.output().len() < OUTPUT_BYTES_MAX;
        let came = if read { self.poll_read(context)? } else { Poll::Pending };
        if wrote.is_ready() || came.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> io::Result<Poll<()>> {
        let mut moved = Poll::Pending;
        while !self.connection.output().is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, self.connection.output())? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => {
                    self.connection.output().advance(count);
                    let now = self.now();
                    self.connection.sent(now);
                    moved = Poll::Ready(());
                }
                Poll::Pending => break,
            }
        }
        // What a layer between holds back (a cipher's records) goes too.
        if moved.is_ready() {
            let _ = Pin::new(&mut self.stream).poll_flush(context)?;
        }
        Ok(moved)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> io::Result<Poll<()>> {
        self.input.reserve(READ_BYTES);
        // The future holds nothing between two polls, so a new one each time loses nothing.
        match pin!(self.stream.read_buf(&mut self.input)).poll(context)? {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(_) => Ok(Poll::Ready(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::codec::performative::{Open, Performative};
    use crate::error::AmqpError;
    use crate::frame::{self, AMQP_HEADER};

    const OPTIONS: Options = Options {
        container_id: String::new(),
        mechanisms: &[],
        welcome: b"",
        frame_bytes_max: 1_024,
        channel_max: 1,
        handle_max: 1,
        links_max: 1,
        incoming_window: 1,
        partial_bytes_max: 1_024,
        handshake_ms: 10_000,
        idle_ms: 10_000,
    };

    fn opening() -> BytesMut {
        let open = Open {
            container_id: "c".into(),
            hostname: Some("host".into()),
            max_frame_size: 600,
            channel_max: 1,
            idle_time_out: None,
        };
        let mut bytes = BytesMut::from(&AMQP_HEADER[..]);
        frame::put_performative(&mut bytes, 0, &Performative::Open(open));
        bytes
    }

    #[tokio::test]
    async fn what_comes_is_an_event_and_the_last_word_is_heard() {
        let (mut client, server) = duplex(4_096);
        let mut wire = Wire::new(server, OPTIONS);
        client.write_all(&opening()).await.unwrap();
        wire.progress(true).await.unwrap();
        assert!(matches!(wire.next_event(), Some(Event::Opened { hostname: Some(host), .. }) if host == "host"));
        wire.connection().close(Some(AmqpError::new("amqp:connection:forced", "stopping")));
        let mut heard = Vec::new();
        let listen = async {
            client.write_all(b"more that nobody waits for").await.unwrap();
            client.read_to_end(&mut heard).await.unwrap();
            drop(client);
        };
        tokio::join!(wire.finish(), listen);
        assert!(heard.starts_with(&AMQP_HEADER));
        assert!(String::from_utf8_lossy(&heard).contains("amqp:connection:forced"));
    }

    #[tokio::test]
    async fn a_peer_that_goes_ends_the_waiting() {
        let (client, server) = duplex(64);
        let mut wire = Wire::new(server, OPTIONS);
        drop(client);
        assert_eq!(wire.progress(true).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
