//! `DescribeAccountSettings` and `UpdateAccountSettings`: whether an account has committed itself to pay for a throughput. Nobody
//! pays a node, so there is no commitment and none can be made.

use serde::Deserialize;
use serde_json::{Value, json};

use super::invalid;
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

const NONE: &str = "DISABLED";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    minimum_throughput_billing_commitment: Option<Commitment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Commitment {
    status: Option<String>,
}

pub(super) fn describe() -> Value {
    json!({ "MinimumThroughputBillingCommitment": { "Status": NONE } })
}

pub(super) fn update(request: &JsonRequest) -> Result<Value, ServiceError> {
    const MEMBER: &str = "minimumThroughputBillingCommitment";
    let input: Input = request.input()?;
    let commitment = input.minimum_throughput_billing_commitment.as_ref();
    let status = commitment.map(|commitment| commitment.status.as_deref());
    let mut constraints = Constraints::new();
    constraints.required(MEMBER, commitment);
    if let Some(status) = status {
        let member = format!("{MEMBER}.status");
        constraints.required(&member, status.as_ref()).one_of(&member, status, &["ENABLED", NONE]);
    }
    constraints.finish()?;
    match status.flatten() {
        Some(NONE) => Ok(describe()),
        _ => Err(invalid("MinimumThroughputBillingCommitment is not supported by this node, which bills nobody.")),
    }
}
