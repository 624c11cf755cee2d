//! The event in which result rows go to a function, and the function's answer.
//!
//! Source: the Kinesis Analytics developer guide, "Using a Lambda function as output".

use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_query::{DeliveryAnswer, DeliveryRecord, OutputCodec};
use serde_json::{Map, json};

use super::{Answer, AnsweredRecord, LambdaCodec, RECORDS_MAX};

impl OutputCodec for LambdaCodec {
    fn encode(&self, query: &str, records: &[DeliveryRecord]) -> Bytes {
        let record = |record: &DeliveryRecord| {
            json!({
                "recordId": record.id,
                "lambdaDeliveryRecordMetadata": { "retryHint": record.attempts },
                "data": STANDARD.encode_to_string(&record.data),
            })
        };
        self.event(query, records.iter().map(record).collect(), Map::new())
    }

    fn decode(&self, _records: &[DeliveryRecord], answer: &[u8]) -> Option<Vec<DeliveryAnswer>> {
        let answer: Answer = serde_json::from_slice(answer).ok()?;
        let said = |record: AnsweredRecord| DeliveryAnswer { id: record.record_id, ok: record.result == "Ok" };
        Some(answer.records.into_iter().map(said).collect())
    }

    fn records_max(&self) -> usize {
        RECORDS_MAX
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::place::Place;

    #[test]
    fn the_shape_is_the_services_own() {
        let codec = LambdaCodec::new(Place::new("us-east-1"));
        let record = DeliveryRecord { id: "7".into(), attempts: 2, data: Bytes::from_static(b"{}") };
        let event: Value = serde_json::from_slice(&codec.encode("trades", std::slice::from_ref(&record))).unwrap();
        assert_eq!(event["applicationArn"], "arn:aws:kinesisanalytics:us-east-1:000000000000:application/trades");
        let expected = json!({ "recordId": "7", "lambdaDeliveryRecordMetadata": { "retryHint": 2 }, "data": "e30=" });
        assert_eq!(event["records"], json!([expected]));
        let answer = br#"{"records":[{"recordId":"7","result":"Ok"},{"recordId":"8","result":"DeliveryFailed"}]}"#;
        let said = codec.decode(&[], answer).unwrap();
        assert_eq!(said.iter().map(|answer| answer.ok).collect::<Vec<_>>(), [true, false]);
        assert!(codec.decode(&[], b"{}").is_none() && codec.decode(&[], b"null").is_none());
    }
}
