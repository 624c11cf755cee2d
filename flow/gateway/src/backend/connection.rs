//! One connection to a backend, worked by whoever uses it.
//!
//! It has no task of its own: a request goes out and its answer comes in within the task that asked, which wakes nobody
//! else. While nobody uses it nothing is read from it; whether it is still open is looked at before it is used again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Read, Write};
use tokio::task::coop::unconstrained;

use super::{ANSWER_BYTES_MAX, BackendError, end_to_end, told};

/// What reads and writes: to be polled along with every exchange.
type Wire = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it is closed.
    wire: Option<Wire>,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// The connection was closed before anything of the request went out: another one may take it.
    Unsent(Box<Request<Full<Bytes>>>),
    /// For good.
    Failed(BackendError),
}

impl Connection {
    /// A connection over a stream.
    pub(super) async fn over(stream: impl Read + Write + Send + Unpin + 'static) -> Result<Self, BackendError> {
        let (sender, wire) = handshake(stream).await.map_err(|error| BackendError::Unreachable(told(&error)))?;
        Ok(Self { sender, wire: Some(Box::pin(wire)) })
    }

    /// Sends a request, in origin form with its host, and takes the whole answer without the headers of one connection.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Unanswered> {
        let answered = along(&mut self.wire, self.sender.try_send_request(request)).await;
        let (mut head, body) = match answered {
            Ok(answered) => answered.into_parts(),
            Err(mut error) => {
                let unsent = error.take_message().map(|unsent| Unanswered::Unsent(Box::new(unsent)));
                return Err(unsent.unwrap_or_else(|| failed(&error.into_error())));
            }
        };
        end_to_end(&mut head.headers);
        head.headers.remove(header::CONTENT_LENGTH);
        let body = along(&mut self.wire, Limited::new(body, ANSWER_BYTES_MAX).collect()).await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() { Unanswered::Failed(BackendError::TooLarge) } else { failed(&*error) }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// Whether it can take a request.
    pub(super) fn is_open(&mut self) -> bool {
        let Some(wire) = &mut self.wire else { return false };
        // Only looked at: nobody is to be woken, not even by the request that is sent next.
        let open = wire.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
        if !open {
            self.wire = None;
        }
        open && self.sender.is_ready()
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Unanswered {
    Unanswered::Failed(BackendError::Unreachable(told(error)))
}

/// Does `work` with `wire` polled along.
///
/// What `work` waits for comes from `wire` alone, and it is looked at again after that was polled. So it wakes nobody: that would
/// be the task that is running, which would be polled once more for nothing. For the same reason `wire` first goes as far as it
/// can without waking anybody, and no budget stops `work`.
async fn along<T>(wire: &mut Option<Wire>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(unconstrained(work));
    poll_fn(|context| {
        let mut look = || work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        for waker in [Waker::noop(), context.waker()] {
            if let Poll::Ready(done) = look() {
                return Poll::Ready(done);
            }
            if wire.as_mut().is_some_and(|wire| wire.as_mut().poll(&mut Context::from_waker(waker)).is_ready()) {
                // Whoever waits for it learns of its end.
                *wire = None;
            }
        }
        look()
    })
    .await
}
