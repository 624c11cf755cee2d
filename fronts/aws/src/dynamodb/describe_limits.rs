//! `DescribeLimits` and `DescribeEndpoints`: what clients ask before they begin.

use serde_json::{Value, json};

use super::DynamoDb;

/// Capacity units that a region and a table may be given: the service's own defaults. This node does not add them up.
const ACCOUNT_UNITS_MAX: u64 = 80_000;
const TABLE_UNITS_MAX: u64 = 40_000;

/// Minutes that a client may keep the endpoint.
const ENDPOINT_MINUTES: u32 = 1_440;

pub(super) fn limits() -> Value {
    json!({
        "AccountMaxReadCapacityUnits": ACCOUNT_UNITS_MAX,
        "AccountMaxWriteCapacityUnits": ACCOUNT_UNITS_MAX,
        "TableMaxReadCapacityUnits": TABLE_UNITS_MAX,
        "TableMaxWriteCapacityUnits": TABLE_UNITS_MAX,
    })
}

/// The service's name of its endpoint. Clients that were given this node's address stay with it.
pub(super) fn endpoints(dynamodb: &DynamoDb) -> Value {
    let address = format!("dynamodb.{}.amazonaws.com", dynamodb.place.region);
    json!({ "Endpoints": [{ "Address": address, "CachePeriodInMinutes": ENDPOINT_MINUTES }] })
}
