//! What on-failure destinations get of batches that are given up: what and where they were; buckets get the records too.
//!
//! Source: the Lambda developer guide, "Retain discarded batch records" and "Capturing records of failed invocations to an S3
//! destination".

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use millstream_catalog::{EventSource, FailureTarget, LATEST};
use millstream_mapping::{DiscardReason, Discarded, FailureTargetError, FailureTargets};
use millstream_types::{BoxFuture, ErrorKind, NewObject, PutObject};
use serde_json::{Value, json};

use super::source;
use crate::authorize::Authorizer;
use crate::destination::Destinations;
use crate::place::Place;

/// On-failure destinations of event source mappings.
pub struct OnFailureDestinations {
    place: Place,
    destinations: Arc<Destinations>,
    objects: Arc<dyn PutObject>,
    authorizer: Authorizer,
}

impl OnFailureDestinations {
    /// Destinations that are written to on behalf of the mapping's function: queues and topics, and buckets of `objects`.
    #[must_use]
    pub fn new(authorizer: Authorizer, destinations: Arc<Destinations>, objects: Arc<dyn PutObject>) -> Self {
        Self { place: authorizer.place.clone(), destinations, objects, authorizer }
    }

    async fn put_object(&self, bucket: &str, discarded: &Discarded) -> Result<(), FailureTargetError> {
        let key = object_key(discarded);
        let arn = format!("arn:aws:s3:::{bucket}/{key}");
        let permitted = self.authorizer.function_may(&discarded.origin.function, "s3:PutObject", &arn);
        permitted.map_err(|message| FailureTargetError { kind: ErrorKind::Forbidden, message })?;
        let mut document = document(&self.place, discarded);
        document["payload"] = json!(String::from_utf8_lossy(&discarded.event));
        let object = NewObject {
            bucket: bucket.to_owned(),
            key,
            content_type: "application/json".to_owned(),
            body: Bytes::from(document.to_string()),
        };
        let put = self.objects.put_object(object).await;
        put.map_err(|error| FailureTargetError { kind: error.kind, message: error.message })
    }
}

impl FailureTargets for OnFailureDestinations {
    fn tell(&self, target: &FailureTarget, discarded: Discarded) -> BoxFuture<'_, Result<(), FailureTargetError>> {
        if let FailureTarget::Bucket { name } = target {
            let bucket = name.clone();
            return Box::pin(async move { self.put_object(&bucket, &discarded).await });
        }
        let target = source::target_arn(&self.place, target);
        Box::pin(async move {
            let body = Bytes::from(document(&self.place, &discarded).to_string());
            let sent = self.destinations.send(&discarded.origin.function, &target, body.into()).await;
            sent.map_err(|error| FailureTargetError { kind: error.kind, message: error.message })
        })
    }
}

/// `aws/lambda/MAPPING/SHARD/2019/11/14/2019-11-14T00.38.06-UUID`
fn object_key(discarded: &Discarded) -> String {
    let at = Timestamp::from_millisecond(discarded.time).unwrap_or(Timestamp::UNIX_EPOCH);
    let (mapping, shard) = (&discarded.mapping, source::shard_id(&discarded.origin));
    let time = at.strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S");
    format!("aws/lambda/{mapping}/{shard}/{time}-{}", uuid::Uuid::new_v4())
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
        let version = discarded.version.map_or_else(|| LATEST.to_owned(), |number| number.to_string());
        let mut response = json!({ "statusCode": 200, "executedVersion": version });
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
            mapping: "m".into(),
            version: None,
            event: Bytes::new(),
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
        let key = object_key(&discarded);
        assert!(key.starts_with("aws/lambda/m/shardId-000000000001/2019/11/14/2019-11-14T00.38.06-"), "{key}");
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
