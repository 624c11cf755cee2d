//! `BatchMeterUsage`: usage of many customers of one product.

use bytes::Bytes;
use millstream_marketplace::{Customer, MarketplaceError, Metered, Outcome, UsageRecord};
use serde::Deserialize;
use serde_json::{Value, json};

use super::usage::{self, Allocation};
use super::{Answer, Marketplace, error};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Records of one request.
const RECORDS_MAX: usize = 25;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    product_code: Option<String>,
    usage_records: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    timestamp: Option<f64>,
    customer_identifier: Option<String>,
    #[serde(rename = "CustomerAWSAccountId")]
    customer_account: Option<String>,
    license_arn: Option<String>,
    dimension: Option<String>,
    quantity: Option<i64>,
    quantity_as_decimal: Option<String>,
    usage_allocations: Option<Vec<Allocation>>,
}

pub(super) async fn call(front: &Marketplace, request: &JsonRequest) -> Answer {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    constraints.required("usageRecords", input.usage_records.as_ref());
    let given = input.usage_records.unwrap_or_default();
    if given.len() > RECORDS_MAX {
        let found = given.len().to_string();
        let constraint = format!("Member must have length less than or equal to {RECORDS_MAX}");
        constraints.broken("usageRecords", Some(&found), &constraint);
    }
    constraints.finish()?;
    let records = given.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    let product = match input.product_code {
        Some(product) => product,
        None => product_of(front, &records)?,
    };
    // One record that no batch may hold refuses all of them.
    front.engine.check(&product, &records).map_err(|e| error(&e))?;
    let metered = match front.engine.meter_all(&product, &records).await {
        Ok(metered) => metered,
        // Nothing was metered: the caller sends all of it again.
        Err(failed @ MarketplaceError::Storage(_)) => vec![Err(failed); records.len()],
        Err(refused) => return Err(error(&refused)),
    };
    let (mut results, mut unprocessed) = (Vec::new(), Vec::new());
    for (metered, given) in metered.into_iter().zip(given) {
        match metered {
            Ok(metered) => results.push(result(&metered, given)),
            Err(_) => unprocessed.push(given),
        }
    }
    Ok(Bytes::from(json!({ "Results": results, "UnprocessedRecords": unprocessed }).to_string()))
}

/// What became of a record.
fn result(metered: &Metered, given: Value) -> Value {
    let status = match metered.outcome {
        Outcome::Metered => "Success",
        Outcome::NotSubscribed => "CustomerNotSubscribed",
        Outcome::Differs => "DuplicateRecord",
    };
    let mut result = json!({ "UsageRecord": given, "Status": status });
    if let Some(id) = &metered.id {
        result["MeteringRecordId"] = json!(id);
    }
    result
}

/// The product of the records' licenses.
fn product_of(front: &Marketplace, records: &[UsageRecord]) -> Result<String, ServiceError> {
    let license = records.iter().find_map(|record| match &record.customer {
        Some(Customer::License(license)) => Some(license),
        _ => None,
    });
    let none =
        || ServiceError::new("InvalidProductCodeException", "expected a ProductCode, or records with a LicenseArn");
    let found = front.engine.subscription(license.ok_or_else(none)?).map_err(|e| error(&e))?;
    Ok(found.product.clone())
}

fn record(given: &Value) -> Result<UsageRecord, ServiceError> {
    let record: Record =
        serde_json::from_value(given.clone()).map_err(|error| ServiceError::serialization(&error.to_string()))?;
    Constraints::new()
        .required("timestamp", record.timestamp.as_ref())
        .required("dimension", record.dimension.as_ref())
        .length("dimension", record.dimension.as_deref(), 1, 255)
        .finish()?;
    let license = record.license_arn.as_deref().map(|arn| {
        let license = arn.rsplit_once(":license:l-").map(|(_, license)| license.to_owned());
        license.ok_or_else(|| ServiceError::new("InvalidLicenseException", format!("no license: {arn}")))
    });
    // A license says who it is too.
    let customer = match (license.transpose()?, record.customer_identifier, record.customer_account) {
        (Some(license), _, _) => Customer::License(license),
        (None, Some(_), Some(_)) => {
            let message = "CustomerIdentifier and CustomerAWSAccountId cannot both be given";
            return Err(ServiceError::new("InvalidCustomerIdentifierException", message));
        }
        (None, Some(identifier), None) => Customer::Identifier(identifier),
        (None, None, Some(account)) => Customer::Account(account),
        (None, None, None) => {
            let message = "a record needs a CustomerIdentifier, a CustomerAWSAccountId or a LicenseArn";
            return Err(ServiceError::new("InvalidCustomerIdentifierException", message));
        }
    };
    let quantity = (record.quantity, record.quantity_as_decimal.as_deref());
    Ok(UsageRecord {
        time: usage::time("timestamp", record.timestamp)?,
        customer: Some(customer),
        dimension: record.dimension.unwrap_or_default(),
        quantity: usage::quantity(quantity, record.usage_allocations.as_deref())?,
    })
}
