//! The marketplace's metering service over the marketplace engine.
//!
//! Source: the AWS Marketplace Metering Service API reference (JSON 1.1).

mod batch_meter_usage;
mod meter_usage;
mod notice;
mod resolve_customer;
mod usage;

use bytes::Bytes;
use millstream_marketplace::{Marketplace as Engine, MarketplaceError};
use millstream_types::ErrorKind;

use crate::json_protocol::{JsonRequest, ServiceError};
use crate::place::Place;

pub use notice::NoticeJson;

/// The service.
pub struct Marketplace {
    engine: Engine,
    place: Place,
}

type Answer = Result<Bytes, ServiceError>;

impl Marketplace {
    /// The service over its engine.
    #[must_use]
    pub fn new(engine: Engine, place: Place) -> Self {
        Self { engine, place }
    }

    /// Answers a request: every operation that there is.
    pub(crate) async fn call(&self, request: &JsonRequest) -> Answer {
        match request.operation.as_str() {
            "ResolveCustomer" => resolve_customer::call(self, request).await,
            "MeterUsage" => meter_usage::call(self, request).await,
            "BatchMeterUsage" => batch_meter_usage::call(self, request).await,
            other => Err(ServiceError::unknown_operation("AWS Marketplace Metering", other)),
        }
    }

    /// A license as customers and sellers name it.
    fn license_arn(&self, license: &str) -> String {
        format!("arn:aws:license-manager::{}:license:l-{license}", self.place.account)
    }
}

/// From the engine's facts to the service's errors.
fn error(error: &MarketplaceError) -> ServiceError {
    let code = match error {
        MarketplaceError::UnknownProduct { .. } => "InvalidProductCodeException",
        MarketplaceError::UnknownCustomer { .. } => "InvalidCustomerIdentifierException",
        MarketplaceError::UnknownLicense { .. } => "InvalidLicenseException",
        MarketplaceError::UnknownToken => "InvalidTokenException",
        MarketplaceError::ExpiredToken => "ExpiredTokenException",
        MarketplaceError::UnknownDimension { .. } => "InvalidUsageDimensionException",
        MarketplaceError::TimeOutOfBounds { .. } => "TimestampOutOfBoundsException",
        MarketplaceError::InvalidAllocations { .. } => "InvalidUsageAllocationsException",
        MarketplaceError::Invalid { .. } | MarketplaceError::Subscribed { .. } => "ValidationException",
        MarketplaceError::Catalog(_) | MarketplaceError::Storage(_) if error.kind() == ErrorKind::Throttled => {
            "ThrottlingException"
        }
        MarketplaceError::Catalog(_) | MarketplaceError::Storage(_) => {
            return ServiceError::internal("InternalServiceErrorException", error.to_string());
        }
    };
    ServiceError::new(code, error.to_string())
}
