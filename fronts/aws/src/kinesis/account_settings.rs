//! `DescribeAccountSettings` and `UpdateAccountSettings`: whether an account has committed itself to pay for a throughput. It is
//! recorded, with the times that the service gives it. Nobody pays a node, so nothing else depends on it.

use millstream_catalog::ThroughputCommitmentDefinition;
use millstream_stream::THROUGHPUT_COMMITTED_MS;
use millstream_types::Millis;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Kinesis, seconds};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

const ENABLED: &str = "ENABLED";
const DISABLED: &str = "DISABLED";
/// Somebody wants it to end, which it does when its least time is over.
const ENDING: &str = "ENABLED_UNTIL_EARLIEST_ALLOWED_END";

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

pub(super) fn describe(kinesis: &Kinesis) -> Value {
    shown(kinesis.streams.throughput_commitment().as_deref(), kinesis.clock.now())
}

pub(super) async fn update(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    const MEMBER: &str = "minimumThroughputBillingCommitment";
    let input: Input = request.input()?;
    let commitment = input.minimum_throughput_billing_commitment.as_ref();
    let status = commitment.map(|commitment| commitment.status.as_deref());
    let mut constraints = Constraints::new();
    constraints.required(MEMBER, commitment);
    if let Some(status) = status {
        let member = format!("{MEMBER}.status");
        constraints.required(&member, status.as_ref()).one_of(&member, status, &[ENABLED, DISABLED]);
    }
    constraints.finish()?;
    let changed = kinesis.streams.commit_throughput(status.flatten() == Some(ENABLED)).await;
    let changed = changed.map_err(|error| kinesis.error(&error))?;
    Ok(shown(changed.as_deref(), kinesis.clock.now()))
}

/// A commitment as the service tells of it at a time.
fn shown(commitment: Option<&ThroughputCommitmentDefinition>, now: Millis) -> Value {
    let mut shown = json!({ "Status": DISABLED });
    if let Some(commitment) = commitment {
        shown["StartedAt"] = json!(seconds(commitment.started));
        match commitment.ends {
            Some(end) if end <= now => shown["EndedAt"] = json!(seconds(end)),
            ends => {
                shown["Status"] = json!(if ends.is_some() { ENDING } else { ENABLED });
                shown["EarliestAllowedEndAt"] = json!(seconds(commitment.started + THROUGHPUT_COMMITTED_MS));
            }
        }
    }
    json!({ "MinimumThroughputBillingCommitment": shown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_is_shown_as_it_stands() {
        let status = |ends, now| {
            let shown = shown(Some(&ThroughputCommitmentDefinition { started: 0, ends }), now);
            let shown = &shown["MinimumThroughputBillingCommitment"];
            (shown["Status"].as_str().unwrap().to_owned(), shown["EndedAt"].as_f64())
        };
        let day = THROUGHPUT_COMMITTED_MS;
        assert_eq!(status(None, 2 * day), (ENABLED.to_owned(), None));
        assert_eq!(status(Some(day), day - 1), (ENDING.to_owned(), None));
        assert_eq!(status(Some(day), day), (DISABLED.to_owned(), Some(86_400.0)));
        assert_eq!(shown(None, day), json!({ "MinimumThroughputBillingCommitment": { "Status": DISABLED } }));
    }
}
