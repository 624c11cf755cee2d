//! One connection: frames in, answers out in the order of the requests.
//!
//! Requests are taken while answers before them wait: what is produced goes to the log at once and its answer waits for
//! the disk. Everything else begins when its turn comes to be answered, so a long poll does not overtake anything.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use millstream_types::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;

use crate::api::{Api, Served};
use crate::listener::stop;
use crate::operation;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::{DecodeError, Pieces, Reader, Writer};

/// Bytes of a request: as much as one transaction of the log may hold.
const REQUEST_BYTES_MAX: usize = 15 << 20;
/// Bytes of a request of who has not said who it is.
const FIRST_BYTES_MAX: usize = 64 << 10;
/// Requests of one connection that wait for their answers; clients have 5 under way at most unless told otherwise.
const WAITING_MAX: usize = 8;
/// Bytes of what a client calls itself that are kept.
const CLIENT_BYTES_MAX: usize = 255;
/// How long a client may take to say who it is.
const FIRST_TIME: Duration = Duration::from_secs(30);
/// How long a client that said who it is may say nothing: as long as the protocol's own servers wait.
const IDLE_TIME: Duration = Duration::from_secs(600);
/// How often it is looked at least whether a client whose time is over still waits for an answer.
const LOOK: Duration = Duration::from_secs(1);
/// How long the rest of a request may take once its first byte is there.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// How long a client may take none of an answer before it is given up.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// How long the answers under way may take when the node stops.
const STOP_TIME: Duration = Duration::from_secs(5);

/// A request's answer; `None` when the client wants none.
pub type Answer = BoxFuture<'static, Option<Answered>>;

/// An answer's bytes, and the permits for holding them and the request.
pub struct Answered {
    frame: Vec<Bytes>,
    _held: Option<OwnedSemaphorePermit>,
    _request: Option<OwnedSemaphorePermit>,
}

impl Answered {
    /// An answer that is small, or whose bytes are held by `permit`.
    pub fn new(writer: Writer, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { frame: writer.into_frame(), _held: permit, _request: None }
    }
}

/// Why a connection ends before its client ends it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The frame is none of the protocol's.
    #[error("expected a request of at most {REQUEST_BYTES_MAX} bytes, found a length of {0}")]
    Length(i64),
    /// An API or a version that is not served; the list of versions says so.
    #[error("API {key} in version {version} is not served")]
    Version {
        /// The API.
        key: i16,
        /// The version.
        version: i16,
    },
    /// The request's fields.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Who calls has not said who it is.
    #[error("expected SASL authentication before the first request")]
    Unauthenticated,
    /// The client says nothing and waits for nothing.
    #[error("expected a request within {} s", .0.as_secs())]
    Silent(Duration),
    /// Nothing is taken any more.
    #[error("the node stops")]
    Stopping,
}

/// Serves a client until it hangs up, breaks the protocol, or the node stops.
pub async fn serve<S>(kafka: Kafka, session: Session, stream: S, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (reading, writing) = tokio::io::split(stream);
    let (answers, waiting) = mpsc::channel(WAITING_MAX);
    let host = session.host.clone();
    let read = async {
        tokio::select! {
            read = read(kafka, session, reading, answers) => read,
            () = stop(&mut stopped) => Ok(()),
        }
    };
    let mut write = std::pin::pin!(write(writing, waiting));
    let ended = tokio::select! {
        read = read => {
            // What was taken is answered before the end.
            let _ = tokio::time::timeout(STOP_TIME, &mut write).await;
            read
        }
        written = &mut write => written,
    };
    if let Err(error) = ended {
        tracing::debug!(%host, %error, "a kafka connection ended");
    }
}

async fn read(
    kafka: Kafka,
    mut session: Session,
    mut reading: impl AsyncRead + Unpin,
    answers: mpsc::Sender<Answer>,
) -> io::Result<()> {
    let begun = Instant::now();
    // Shared with each answer that is not there yet.
    let waits = Arc::new(());
    loop {
        let (limit, silence) = match session.is_known() {
            true => (IDLE_TIME, IDLE_TIME),
            false => (FIRST_TIME, FIRST_TIME.saturating_sub(begun.elapsed())),
        };
        let Some(first) = first_byte(&mut reading, silence, limit, &waits).await? else { return Ok(()) };
        let bytes_max = if session.is_known() { REQUEST_BYTES_MAX } else { FIRST_BYTES_MAX };
        let length = tokio::time::timeout(REQUEST_TIME, length(&mut reading, first, bytes_max)).await??;
        let held = kafka.hold_request(length).await;
        let frame = tokio::time::timeout(REQUEST_TIME, frame(&mut reading, length)).await??;
        let answer = begin(&kafka, &mut session, frame).await.map_err(io::Error::other)?;
        let wait = Arc::clone(&waits);
        let answer: Answer = Box::pin(async move {
            let answered = answer.await;
            drop(wait);
            // Held until the client has the answer, which may be some times the request.
            answered.map(|answered| Answered { _request: held, ..answered })
        });
        if answers.send(answer).await.is_err() {
            return Ok(());
        }
    }
}

/// The first byte of a request; `None` when the client hangs up. `silence` is what is left of the time `limit`. One that waits for an answer has nothing to say.
async fn first_byte(
    reading: &mut (impl AsyncRead + Unpin),
    silence: Duration,
    limit: Duration,
    waits: &Arc<()>,
) -> io::Result<Option<u8>> {
    let (mut first, mut look) = ([0], silence);
    loop {
        match tokio::time::timeout(look, reading.read(&mut first)).await {
            Ok(Ok(1)) => return Ok(Some(first[0])),
            Ok(_) => return Ok(None),
            Err(_) if Arc::strong_count(waits) > 1 => look = look.max(LOOK),
            Err(_) => return Err(io::Error::other(Refused::Silent(limit))),
        }
    }
}

/// A request's length, whose first byte is there.
async fn length(reading: &mut (impl AsyncRead + Unpin), first: u8, bytes_max: usize) -> io::Result<usize> {
    let mut length = [first, 0, 0, 0];
    reading.read_exact(&mut length[1..]).await?;
    let length = i64::from(i32::from_be_bytes(length));
    let good = usize::try_from(length).ok().filter(|length| *length <= bytes_max);
    good.ok_or_else(|| io::Error::other(Refused::Length(length)))
}

async fn frame(reading: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Bytes> {
    let mut frame = BytesMut::with_capacity(length);
    while frame.len() < length {
        let room = length - frame.len();
        if (&mut *reading).take(room as u64).read_buf(&mut frame).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
    }
    Ok(frame.freeze())
}

async fn write(mut writing: impl AsyncWrite + Unpin, mut waiting: mpsc::Receiver<Answer>) -> io::Result<()> {
    while let Some(answer) = waiting.recv().await {
        let Some(answered) = answer.await else { continue };
        let Answered { frame, _held, _request } = answered;
        let mut frame = Pieces::new(frame);
        while frame.has_remaining() {
            if tokio::time::timeout(WRITE_STALL, writing.write_buf(&mut frame)).await?? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        writing.flush().await?;
    }
    writing.shutdown().await
}

/// A request's head and where its fields are.
pub struct Request {
    /// Which API.
    pub api: Api,
    /// Its version, one that is served.
    pub version: i16,
    /// Who asks, as its client calls itself.
    pub client: String,
    /// The fields.
    pub fields: Reader,
    correlation: i32,
    served: &'static Served,
}

impl Request {
    /// An empty answer to it.
    pub fn answer(&self) -> Writer {
        let mut writer = Writer::answer(self.correlation, self.served.has_flexible_header(self.version));
        writer.set_flexible(self.served.is_flexible(self.version));
        writer
    }

    /// An answer that may be large and that `write` writes. It is written twice: its bytes are counted first, so that they
    /// are held before they are there.
    pub async fn held(&self, kafka: &Kafka, write: impl Fn(&mut Writer)) -> Answered {
        let mut counting = self.answer().counting();
        write(&mut counting);
        let bytes = counting.len();
        let permit = kafka.hold_list(bytes).await;
        let mut writer = self.answer();
        writer.reserve(bytes);
        write(&mut writer);
        Answered::new(writer, permit)
    }
}

/// Takes a request; what has to happen in the order of requests has happened when this returns.
pub async fn begin(kafka: &Kafka, session: &mut Session, frame: Bytes) -> Result<Answer, Refused> {
    let mut fields = Reader::new(frame);
    let (key, version, correlation) = (fields.i16()?, fields.i16()?, fields.i32()?);
    let mut client = fields.nullable_string()?.unwrap_or_default();
    client.truncate(client.floor_char_boundary(CLIENT_BYTES_MAX));
    let Some(served) = Served::of_key(key) else { return Err(Refused::Version { key, version }) };
    if !served.has(version) {
        if served.api != Api::Versions {
            return Err(Refused::Version { key, version });
        }
        // A client that is newer asks again with a version of the list.
        let answered = Answered::new(operation::api_versions::refusal(correlation), None);
        return Ok(Box::pin(async move { Some(answered) }));
    }
    fields.set_flexible(served.is_flexible(version));
    fields.tags()?;
    let request = Request { api: served.api, version, client, fields, correlation, served };
    operation::begin(kafka, session, request).await
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;
    use crate::operation::tests::{frame, kafka};

    const NOTHING: Duration = Duration::from_secs(3_600);

    fn connect(open: bool) -> (DuplexStream, watch::Sender<bool>) {
        let kafka = kafka(open);
        let (client, server) = tokio::io::duplex(1 << 16);
        let (stop, stopped) = watch::channel(false);
        let session = Session::new(&kafka, "127.0.0.1".to_owned(), ("127.0.0.1".to_owned(), 9092));
        tokio::spawn(serve(kafka, session, server, stopped));
        (client, stop)
    }

    /// Seconds until the server hangs up.
    async fn hung_up(client: &mut DuplexStream) -> Option<u64> {
        let begun = Instant::now();
        let read = tokio::time::timeout(NOTHING, client.read_to_end(&mut Vec::new())).await;
        read.ok().map(|_| begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_is_hung_up_on() {
        assert_eq!(hung_up(&mut connect(false).0).await, Some(FIRST_TIME.as_secs()));
        assert_eq!(hung_up(&mut connect(true).0).await, Some(IDLE_TIME.as_secs()));
        let (mut half, _stop) = connect(true);
        half.write_all(&[0, 0]).await.unwrap();
        assert_eq!(hung_up(&mut half).await, Some(REQUEST_TIME.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_an_answer_is_not_hung_up_on() {
        let (mut client, _stop) = connect(true);
        // A member of a group whose clock nobody drives here: it waits for others and waits.
        let mut join: Vec<u8> = Vec::new();
        join.extend([0, 1, b'g']);
        join.extend(60_000_i32.to_be_bytes());
        join.extend([0, 0, 0, 1, b't', 0, 0, 0, 1, 0, 1, b'p', 0, 0, 0, 0]);
        let request = frame(11, 0, false, &join);
        client.write_all(&(request.len() as i32).to_be_bytes()).await.unwrap();
        client.write_all(&request).await.unwrap();
        assert_eq!(hung_up(&mut client).await, None);
    }
}
