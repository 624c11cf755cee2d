//! What on-failure destinations get of batches that are given up: what and where they were, not the records themselves.
//!
//! Source: the Lambda developer guide, "Retain discarded batch records".

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use millstream_catalog::{EventSource, FailureTarget};
use millstream_mapping::{DiscardReason, Discarded, FailureTargetError, FailureTargets};
use millstream_types::BoxFuture;
use serde_json::{Value, json};

use super::source;
use crate::destination::Destinations;
use crate::place::Place;

/// On-failure destinations of event source mappings.
pub struct OnFailureDestinations {
    place: Place,
    destinations: Arc<Destinations>,
}

impl OnFailureDestinations {
    /// Destinations that are written to on behalf of the mapping's function.
    #[must_use]
    pub fn new(place: Place, destinations: Arc<Destinations>) -> Self {
        Self { place, destinations }
    }
}

impl FailureTargets for OnFailureDestinations {
    fn tell(&self, target: &FailureTarget, discarded: Discarded) -> BoxFuture<'_, Result<(), FailureTargetError>> {
        let target = source::target_arn(&self.place, target);
        Box::pin(async move {
            let body = Bytes::from(document(&self.place, &discarded).to_string());
            let sent = self.destinations.send(&discarded.origin.function, &target, body.into()).await;
            sent.map_err(|error| FailureTargetError { kind: error.kind, message: error.message })
        })
    }
}

fn document(place: &Place, discarded: &Discarded) -> Value {
    let origin = &discarded.origin;
    let sequence = |offset| source::sequence_number(&origin.source, origin.log, offset);
    let batch = json!({
        "shardId": source::shard_id(origin),
        "startSequenceNumber": sequence(discarded.offsets.0),
        "endSequenceNumber": sequence(discarded.offsets.1),
        "approximateArrivalOfFirstRecord": time(discarded.times.0),
        "approximateArrivalOfLastRecord": time(discarded.times.1),
        "batchSize": discarded.records,
        "streamArn": source::arn(place, &origin.source),
    });
    let condition = match discarded.reason {
        DiscardReason::Attempts => "RetryAttemptsExhausted",
        DiscardReason::Age => "RecordAgeExceeded",
    };
    let mut document = json!({
        "requestContext": {
            "requestId": discarded.invocation.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            "functionArn": place.arn("lambda", &format!("function:{}", origin.function)),
            "condition": condition,
            "approximateInvokeCount": discarded.invocations,
        },
        "version": "1.0",
        "timestamp": time(discarded.time),
    });
    if discarded.invocations > 0 {
        let mut response = json!({ "statusCode": 200, "executedVersion": "$LATEST" });
        if let Some(error) = &discarded.error {
            response["functionError"] = json!(error);
        }
        document["responseContext"] = response;
    }
    let kind = match origin.source {
        EventSource::Table { .. } => "DDBStreamBatchInfo",
        EventSource::Stream { .. } | EventSource::Queue { .. } => "KinesisBatchInfo",
    };
    document[kind] = batch;
    document
}

/// `2019-11-14T00:38:06.021Z`
fn time(millis: i64) -> String {
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use millstream_mapping::Origin;
    use millstream_stream::SequenceNumber;
    use millstream_types::LogId;

    use super::*;

    #[test]
    fn the_document_is_the_services_own() {
        let source = EventSource::Stream { name: "tweets".into() };
        let discarded = Discarded {
            origin: Origin { source, function: "decode".into(), shard: 1, log: LogId(7) },
            offsets: (3, 5),
            times: (1_573_691_884_835, 1_573_691_885_000),
            records: 3,
            reason: DiscardReason::Attempts,
            invocations: 2,
            invocation: Some("id".into()),
            error: Some("Unhandled".into()),
            time: 1_573_691_886_021,
        };
        let number = |offset| SequenceNumber { log: LogId(7), offset }.to_string();
        let place = Place::new("us-east-1");
        let expected = json!({
            "requestContext": {
                "requestId": "id",
                "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:decode",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 2,
            },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
            "version": "1.0",
            "timestamp": "2019-11-14T00:38:06.021Z",
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000001",
                "startSequenceNumber": number(3),
                "endSequenceNumber": number(5),
                "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
                "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.000Z",
                "batchSize": 3,
                "streamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/tweets",
            },
        });
        assert_eq!(document(&place, &discarded), expected);
        let aged = Discarded { reason: DiscardReason::Age, invocations: 0, ..discarded };
        let aged = document(&place, &aged);
        assert_eq!(aged["requestContext"]["condition"], "RecordAgeExceeded");
        assert!(aged.get("responseContext").is_none());
    }
}
