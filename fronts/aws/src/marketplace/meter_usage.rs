//! `MeterUsage`: usage of a product that runs in the seller's own account.

use bytes::Bytes;
use millstream_marketplace::{Outcome, UsageRecord};
use serde::Deserialize;
use serde_json::json;

use super::usage::{self, Allocation};
use super::{Answer, Marketplace, error};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    product_code: Option<String>,
    timestamp: Option<f64>,
    usage_dimension: Option<String>,
    usage_quantity: Option<i64>,
    usage_quantity_as_decimal: Option<String>,
    dry_run: Option<bool>,
    usage_allocations: Option<Vec<Allocation>>,
    client_token: Option<String>,
}

pub(super) async fn call(front: &Marketplace, request: &JsonRequest) -> Answer {
    let input: Input = request.input()?;
    Constraints::new()
        .required("productCode", input.product_code.as_ref())
        .required("timestamp", input.timestamp.as_ref())
        .required("usageDimension", input.usage_dimension.as_ref())
        .length("usageDimension", input.usage_dimension.as_deref(), 1, 255)
        // A token is taken and not needed: the same usage of an hour is the same record, whoever sends it again.
        .length("clientToken", input.client_token.as_deref(), 1, 64)
        .finish()?;
    let product = input.product_code.unwrap_or_default();
    let quantity = (input.usage_quantity, input.usage_quantity_as_decimal.as_deref());
    let record = UsageRecord {
        time: usage::time("timestamp", input.timestamp)?,
        customer: None,
        dimension: input.usage_dimension.unwrap_or_default(),
        quantity: usage::quantity(quantity, input.usage_allocations.as_deref())?,
    };
    if input.dry_run == Some(true) {
        front.engine.check(&product, &[record]).map_err(|e| error(&e))?;
        let message = "Request would have succeeded, but DryRun flag is set";
        return Err(ServiceError::new("DryRunOperation", message));
    }
    let metered = front.engine.meter(&product, &record).await.map_err(|e| error(&e))?;
    match metered.outcome {
        Outcome::Metered => Ok(Bytes::from(json!({ "MeteringRecordId": metered.id }).to_string())),
        Outcome::Differs => Err(ServiceError::new(
            "DuplicateRequestException",
            "another quantity is metered for this dimension and hour already",
        )),
        Outcome::NotSubscribed => Err(ServiceError::new("CustomerNotEntitledException", "there is no subscription")),
    }
}
