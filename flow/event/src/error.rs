//! What can go wrong with topics and event subscriptions.

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
use millstream_stream::StreamError;
use millstream_types::ErrorKind;

use crate::filter::FilterError;

/// An error of the event engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EventError {
    /// No topic of that name.
    #[error("there is no topic `{topic}`")]
    TopicNotFound {
        /// The name asked for.
        topic: String,
    },
    /// The name is taken.
    #[error("there is a topic `{topic}` already")]
    TopicExists {
        /// The name.
        topic: String,
    },
    /// No subscription of that name.
    #[error("topic `{topic}` has no subscription `{name}`")]
    SubscriptionNotFound {
        /// The topic.
        topic: String,
        /// The name asked for.
        name: String,
    },
    /// A name cannot be one.
    #[error("expected a name of {min} to {max} letters, digits and `-`, found `{found}`")]
    BadName {
        /// The name.
        found: String,
        /// Fewest characters.
        min: usize,
        /// Most characters.
        max: usize,
    },
    /// There is such a subscription with other settings.
    #[error("`{endpoint}` is subscribed to the topic already, with other settings")]
    SubscriptionDiffers {
        /// The endpoint, without what may be secret.
        endpoint: String,
    },
    /// A number is out of its range.
    #[error("expected {what} from {min} to {max}, found {found}")]
    OutOfRange {
        /// Which.
        what: &'static str,
        /// Least.
        min: u32,
        /// Most.
        max: u32,
        /// What was given.
        found: u32,
    },
    /// What is made would be over already.
    #[error("expected a time of expiry that is to come, found {found}")]
    Over {
        /// The time, RFC 3339.
        found: String,
    },
    /// One more than there may be.
    #[error("expected at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The filter is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Events of the topic cannot be delivered in that form.
    #[error("a topic that takes CloudEvents delivers CloudEvents only")]
    DeliverySchema,
    /// Nothing here does that.
    #[error("{feature} is not supported")]
    NotSupported {
        /// What was asked for.
        feature: &'static str,
    },
    /// The endpoint does not exist or cannot be called.
    #[error("the endpoint `{endpoint}` cannot be used: {reason}")]
    Endpoint {
        /// The endpoint, without what may be secret.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// A header of deliveries cannot be.
    #[error("the header `{name}` cannot be added to deliveries: {reason}")]
    Header {
        /// Its name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// The webhook did not say that it wants the events.
    #[error("the endpoint `{endpoint}` did not validate: {reason}")]
    Validation {
        /// Its address, without its query.
        endpoint: String,
        /// What it said.
        reason: String,
    },
    /// There is nothing to confirm, or no longer.
    #[error("the validation address is wrong or has expired; define the subscription again")]
    NothingToConfirm,
    /// A delivery ended in a way that it cannot; a defect of ours.
    #[error("a delivery broke: {reason}")]
    Broken {
        /// The runtime's words.
        reason: String,
    },
    /// The stream engine refused.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The definition could not be written.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl EventError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TopicNotFound { .. } | Self::SubscriptionNotFound { .. } | Self::NothingToConfirm => {
                ErrorKind::NotFound
            }
            Self::TopicExists { .. } | Self::SubscriptionDiffers { .. } => ErrorKind::Exists,
            Self::BadName { .. }
            | Self::OutOfRange { .. }
            | Self::Over { .. }
            | Self::TooMany { .. }
            | Self::Filter(_)
            | Self::DeliverySchema
            | Self::NotSupported { .. }
            | Self::Endpoint { .. }
            | Self::Header { .. }
            | Self::Validation { .. } => ErrorKind::Invalid,
            Self::Broken { .. } => ErrorKind::Internal,
            Self::Stream(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for EventError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Storage(error) => Self::Storage(error),
            other => Self::Catalog(other),
        }
    }
}
