//! Request bodies: taken within a size and a time, unpacked within the same size.
//!
//! Bodies arrive before anybody has proved who they are, so what all of them together may hold is bounded too.

use std::io::Read as _;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a body may take to come.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of bodies that the process holds at once between their first byte and their answer; the others wait.
const IN_FLIGHT_BYTES_MAX: usize = 512 << 20;

/// What a body without a declared length is counted as until it is there.
const UNDECLARED_BYTES: usize = 1 << 20;

static IN_FLIGHT: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(IN_FLIGHT_BYTES_MAX));

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
    #[error("the body did not come within {} s", TIMEOUT.as_secs())]
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
    _share: SemaphorePermit<'static>,
}

/// Takes a body of at most `limit` bytes.
///
/// # Errors
/// [`BodyError`]; never waits longer than 30 s for the body itself.
pub async fn take<B>(body: B, limit: usize) -> Result<TakenBody, BodyError>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let declared = body.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if declared.is_some_and(|bytes| bytes > limit) {
        return Err(BodyError::TooLarge(limit));
    }
    let share = declared.unwrap_or(UNDECLARED_BYTES.min(limit));
    let acquire = IN_FLIGHT.acquire_many(u32::try_from(share).unwrap_or(u32::MAX));
    let share = tokio::time::timeout(TIMEOUT, acquire).await.map_err(|_| BodyError::TimedOut)?;
    let share = share.map_err(|closed| BodyError::Incomplete(closed.to_string()))?;
    let collected = tokio::time::timeout(TIMEOUT, Box::pin(Limited::new(body, limit).collect())).await;
    let bytes = match collected {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(BodyError::TooLarge(limit)),
        Ok(Err(error)) => return Err(BodyError::Incomplete(error.to_string())),
        Err(_) => return Err(BodyError::TimedOut),
    };
    Ok(TakenBody { bytes, _share: share })
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
