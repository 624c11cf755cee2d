//! Request bodies: taken within a size and a time, unpacked within the same size.
//!
//! Bodies arrive before anybody has proved who they are, so what all of them together may hold is bounded too.
//! Read next: [`budget`] (how much), [`pace`] (how long).

mod budget;
mod pace;

use std::io::Read as _;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::{Instant, timeout, timeout_at};

use budget::Share;
use pace::{Pace, TIMEOUT};

/// Bytes of a body over its limit that are read and dropped, so that its sender gets to the answer: whoever is cut off while
/// it sends sees a broken connection and no reason.
const DISCARD_BYTES_MAX: usize = 64 << 20;

/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body, or what it unpacks to, is larger than the request may be.
    #[error("expected a body of at most {0} bytes")]
    TooLarge(usize),
    /// The connection ended before the body did.
    #[error("the body ended early: {0}")]
    Incomplete(String),
    /// The body did not come in time.
    #[error("the body did not come within {} s, or came too slowly to be there by then", TIMEOUT.as_secs())]
    TimedOut,
    /// The body says that it is packed, but it is not.
    #[error("the body is no gzip: {0}")]
    NotGzip(std::io::Error),
}

/// A body, and its share of what the process may hold at once: drop it after the answer.
#[derive(Debug)]
pub struct TakenBody {
    /// The body as it came.
    pub bytes: Bytes,
    _share: Option<Share>,
}

/// Takes a body of at most `limit` bytes. Of a larger one the rest is read and dropped, within bounds.
///
/// # Errors
/// [`BodyError`]; waits at most 30 s for its share of the memory, and as long for the body itself.
pub async fn take<B>(body: B, limit: usize) -> Result<TakenBody, BodyError>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.is_end_stream() {
        return Ok(TakenBody { bytes: Bytes::new(), _share: None });
    }
    // On the heap: the listeners' futures hold many of these.
    let mut body = Box::pin(body);
    let taken = take_within(body.as_mut(), limit).await;
    if let Err(BodyError::TooLarge(_)) = taken {
        discard(body.as_mut()).await;
    }
    taken
}

async fn take_within<B>(mut body: Pin<&mut B>, limit: usize) -> Result<TakenBody, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let declared = body.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if declared.is_some_and(|bytes| bytes > limit) {
        return Err(BodyError::TooLarge(limit));
    }
    let mut share = timeout(TIMEOUT, Share::of(declared)).await.map_err(|_| BodyError::TimedOut)?;
    let (begun, pace) = (Instant::now(), Pace::of(declared));
    let mut taken = BytesMut::new();
    loop {
        let deadline = begun + pace.next_by(taken.len());
        let next = timeout_at(deadline, body.frame()).await.map_err(|_| BodyError::TimedOut)?;
        let Some(frame) = next else { break };
        let frame = frame.map_err(|error| BodyError::Incomplete(error.into().to_string()))?;
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit - taken.len() {
            return Err(BodyError::TooLarge(limit));
        }
        let held = share.hold(taken.len() + data.len());
        timeout_at(begun + TIMEOUT, held).await.map_err(|_| BodyError::TimedOut)?;
        if taken.is_empty() && body.is_end_stream() {
            return Ok(TakenBody { bytes: data, _share: Some(share) });
        }
        // Nothing is set aside before the first bytes are there: many only say that they will send much.
        taken.reserve(declared.unwrap_or(0).max(taken.len() + data.len()) - taken.len());
        taken.extend_from_slice(&data);
    }
    Ok(TakenBody { bytes: taken.freeze(), _share: Some(share) })
}

/// Reads a body that nobody wants, or the rest of one, within bounds, so that its sender gets to the answer.
pub async fn discard<B: Body<Data = Bytes>>(body: B) {
    let read = async {
        let mut body = pin!(body);
        let mut left = DISCARD_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // Whoever sends more or slower than that is cut off, as the listener does with what is not read.
    let _ = timeout(DISCARD_TIMEOUT, read).await;
}

/// Unpacks a body whose headers say that it came as gzip, never to more than the limit; others are returned as they are.
///
/// # Errors
/// [`BodyError::TooLarge`] and [`BodyError::NotGzip`].
pub fn unpack(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, BodyError> {
    if headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return Ok(body);
    }
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(&body[..]).take(limit as u64 + 1);
    match reader.read_to_end(&mut unpacked) {
        Ok(_) if unpacked.len() <= limit => Ok(Bytes::from(unpacked)),
        Ok(_) => Err(BodyError::TooLarge(limit)),
        Err(error) => Err(BodyError::NotGzip(error)),
    }
}
