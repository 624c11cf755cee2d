//! How a delivery ended, in words that hold for every endpoint.

use http::StatusCode;
use millstream_types::ErrorKind;
use serde::{Deserialize, Serialize};

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The endpoint has the events.
    Delivered,
    /// It says that they are malformed: they always will be.
    BadRequest,
    /// It does not accept who we are.
    Unauthorized,
    /// It does not want them.
    Forbidden,
    /// There is no such endpoint.
    NotFound,
    /// They are too large for it.
    PayloadTooLarge,
    /// No answer in time.
    TimedOut,
    /// It asks to come later.
    Busy,
    /// No connection, or it broke.
    SocketError,
    /// Its name leads to no address that may be called.
    ResolutionError,
    /// Anything else: a redirect, an error of its own.
    GenericError,
}

impl Outcome {
    /// The outcome of an HTTP answer. Only 200 to 204 count as taken; redirects are not followed.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=204 => Self::Delivered,
            400 => Self::BadRequest,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            408 | 504 => Self::TimedOut,
            413 => Self::PayloadTooLarge,
            429 | 503 => Self::Busy,
            _ => Self::GenericError,
        }
    }

    /// The same of a webhook that gets messages: all of 200 to 299 count as taken.
    #[must_use]
    pub fn of_webhook(status: StatusCode) -> Self {
        if status.is_success() { Self::Delivered } else { Self::of_status(status) }
    }

    /// The outcome of an engine's refusal.
    #[must_use]
    pub fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid | ErrorKind::Exists => Self::BadRequest,
            ErrorKind::Unauthenticated => Self::Unauthorized,
            ErrorKind::Forbidden => Self::Forbidden,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::TooLarge => Self::PayloadTooLarge,
            ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Conflict => Self::Busy,
            ErrorKind::Internal => Self::GenericError,
        }
    }

    /// Its name, as dead-lettered events and logs carry it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "Delivered",
            Self::BadRequest => "BadRequest",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::PayloadTooLarge => "PayloadTooLarge",
            Self::TimedOut => "TimedOut",
            Self::Busy => "Busy",
            Self::SocketError => "SocketError",
            Self::ResolutionError => "ResolutionError",
            Self::GenericError => "GenericError",
        }
    }

    /// Whether trying again can change anything. An unauthorised resource of the node may be mended, a webhook that does
    /// not know us has said what it thinks.
    #[must_use]
    pub fn is_final(self, webhook: bool) -> bool {
        matches!(self, Self::BadRequest | Self::Forbidden | Self::PayloadTooLarge)
            || (webhook && self == Self::Unauthorized)
    }
}

/// Why an event is not tried any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// All attempts are used up.
    MaxDeliveryAttemptsExceeded,
    /// It is too old.
    TimeToLiveExceeded,
    /// Its last outcome cannot change, see [`Outcome::is_final`].
    Final(Outcome),
}

impl EndReason {
    /// Its name, as dead-lettered events carry it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxDeliveryAttemptsExceeded => "MaxDeliveryAttemptsExceeded",
            Self::TimeToLiveExceeded => "TimeToLiveExceeded",
            Self::Final(outcome) => outcome.name(),
        }
    }
}
