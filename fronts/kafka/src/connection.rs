//! One connection: frames in, answers out in the order of the requests.
//!
//! Requests are taken while answers before them wait: what is produced goes to the log at once and its answer waits for
//! the disk. Everything else begins when its turn comes to be answered, so a long poll does not overtake anything.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use millstream_types::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::api::{Api, Served};
use crate::listener::stop;
use crate::operation;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::{DecodeError, Reader, Writer};

/// Bytes of a request: as much as one transaction of the log may hold.
const REQUEST_BYTES_MAX: usize = 15 << 20;
/// Bytes of a request of who has not said who it is.
const FIRST_BYTES_MAX: usize = 64 << 10;
/// Requests of one connection that wait for their answers; clients have 5 under way at most unless told otherwise.
const WAITING_MAX: usize = 8;
/// How long the rest of a request may take once its length is there.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// How long a client may take none of an answer before it is given up.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// Bytes written at once: the stall is measured piece by piece.
const WRITE_BYTES: usize = 64 << 10;
/// How long the answers under way may take when the node stops.
const STOP_TIME: Duration = Duration::from_secs(5);

/// A request's answer; `None` when the client wants none.
pub type Answer = BoxFuture<'static, Option<Answered>>;

/// An answer's bytes, and the permit for holding them.
pub struct Answered {
    frame: Bytes,
    _held: Option<OwnedSemaphorePermit>,
}

impl Answered {
    /// An answer that is small, or whose bytes are held by `permit`.
    pub fn new(writer: Writer, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { frame: writer.into_frame(), _held: permit }
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
    loop {
        let mut length = [0; 4];
        if reading.read_exact(&mut length).await.is_err() {
            return Ok(());
        }
        let length = i64::from(i32::from_be_bytes(length));
        let bytes_max = if session.is_known() { REQUEST_BYTES_MAX } else { FIRST_BYTES_MAX };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= bytes_max)
            .ok_or_else(|| io::Error::other(Refused::Length(length)))?;
        let held = kafka.hold_request(length).await;
        let mut frame = BytesMut::with_capacity(length);
        let rest = async {
            while frame.len() < length {
                let room = length - frame.len();
                if (&mut reading).take(room as u64).read_buf(&mut frame).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(())
        };
        tokio::time::timeout(REQUEST_TIME, rest).await??;
        let answer = begin(&kafka, &mut session, frame.freeze()).await.map_err(io::Error::other)?;
        let answer: Answer = Box::pin(async move {
            let answered = answer.await;
            drop(held);
            answered
        });
        if answers.send(answer).await.is_err() {
            return Ok(());
        }
    }
}

async fn write(mut writing: impl AsyncWrite + Unpin, mut waiting: mpsc::Receiver<Answer>) -> io::Result<()> {
    while let Some(answer) = waiting.recv().await {
        let Some(answered) = answer.await else { continue };
        for piece in answered.frame.chunks(WRITE_BYTES) {
            tokio::time::timeout(WRITE_STALL, writing.write_all(piece)).await??;
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
}

/// Takes a request; what has to happen in the order of requests has happened when this returns.
pub async fn begin(kafka: &Kafka, session: &mut Session, frame: Bytes) -> Result<Answer, Refused> {
    let mut fields = Reader::new(frame);
    let (key, version, correlation) = (fields.i16()?, fields.i16()?, fields.i32()?);
    let client = fields.nullable_string()?.unwrap_or_default();
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
