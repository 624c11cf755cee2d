//! What can go wrong at the marketplace.

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
use millstream_types::{ErrorKind, Millis};

/// An error of the marketplace.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MarketplaceError {
    /// No product of that code.
    #[error("there is no product `{product}`")]
    UnknownProduct {
        /// What was asked for.
        product: String,
    },
    /// Nobody of that name ever subscribed to anything.
    #[error("there is no customer `{customer}`")]
    UnknownCustomer {
        /// What was asked for.
        customer: String,
    },
    /// No subscription of that license.
    #[error("there is no license `{license}`")]
    UnknownLicense {
        /// What was asked for.
        license: String,
    },
    /// The token was never given.
    #[error("the registration token is not known")]
    UnknownToken,
    /// The token's time is over.
    #[error("the registration token's time is over; a new one is made with each visit")]
    ExpiredToken,
    /// The product is not metered in that.
    #[error("product `{product}` has no dimension `{dimension}`")]
    UnknownDimension {
        /// The product.
        product: String,
        /// What was asked for.
        dimension: String,
    },
    /// Usage of a time that cannot be metered any more, or not yet.
    #[error("the time {time} is not within {from} to {to} (milliseconds since 1970)")]
    TimeOutOfBounds {
        /// The usage's time.
        time: Millis,
        /// The oldest time that can be metered now.
        from: Millis,
        /// The newest.
        to: Millis,
    },
    /// The parts of a quantity are not the whole.
    #[error("{reason}")]
    InvalidAllocations {
        /// What was expected and what was found.
        reason: String,
    },
    /// It may not be so.
    #[error("{reason}")]
    Invalid {
        /// What was expected and what was found.
        reason: String,
    },
    /// The customer is subscribed already.
    #[error("customer `{customer}` is subscribed to `{product}` already")]
    Subscribed {
        /// The customer.
        customer: String,
        /// The product.
        product: String,
    },
    /// A definition could not be written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store could not do it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl MarketplaceError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownProduct { .. }
            | Self::UnknownCustomer { .. }
            | Self::UnknownLicense { .. }
            | Self::UnknownToken
            | Self::UnknownDimension { .. } => ErrorKind::NotFound,
            Self::ExpiredToken
            | Self::TimeOutOfBounds { .. }
            | Self::InvalidAllocations { .. }
            | Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Subscribed { .. } => ErrorKind::Exists,
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}
