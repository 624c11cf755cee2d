//! The event in which an input's records go through a function, and the function's answer.
//!
//! Source: the Kinesis Analytics developer guide, "Preprocessing data using a Lambda function".

use std::collections::HashMap;

use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_query::{Processed, ProcessingBatch, ProcessingCodec};
use millstream_stream::ShardId;
use millstream_types::Record;
use serde_json::{Map, Value, json};

use super::{Answer, AnsweredRecord, LambdaCodec, RECORDS_MAX};

impl AnsweredRecord {
    fn processed(&self) -> Result<Processed, String> {
        let Self { record_id, result, data } = self;
        match (result.as_str(), data) {
            ("Dropped", _) => Ok(Processed::Dropped),
            ("ProcessingFailed", _) => Ok(Processed::Failed),
            ("Ok", Some(Value::String(data))) => match STANDARD.decode_to_vec(data) {
                Ok(data) => Ok(Processed::Record(Bytes::from(data))),
                Err(_) => Err(format!("the data of record {record_id} is no base64")),
            },
            ("Ok", _) => Err(format!("record {record_id} is Ok and has no data")),
            (other, _) => {
                Err(format!("expected the result Ok, Dropped or ProcessingFailed of record {record_id}, found {other}"))
            }
        }
    }
}

impl ProcessingCodec for LambdaCodec {
    fn encode(&self, batch: &ProcessingBatch<'_>) -> Bytes {
        let delivery = batch.stream.strip_prefix("delivery/");
        let stream = match delivery {
            Some(name) => self.place.arn("firehose", &format!("deliverystream/{name}")),
            None => self.place.arn("kinesis", &format!("stream/{}", batch.stream)),
        };
        let record = |record: &Record| {
            let id = batch.id(record);
            let mut shown = json!({ "recordId": id, "data": STANDARD.encode_to_string(&record.data) });
            let arrival = record.append_time;
            if delivery.is_some() {
                shown["kinesisFirehoseRecordMetadata"] = json!({ "approximateArrivalTimestamp": arrival });
            } else {
                shown["kinesisStreamRecordMetadata"] = json!({
                    "sequenceNumber": id,
                    "partitionKey": String::from_utf8_lossy(&record.partition_key),
                    "shardId": ShardId(batch.shard).to_string(),
                    "approximateArrivalTimestamp": arrival,
                });
            }
            shown
        };
        let more = Map::from_iter([("streamArn".to_owned(), json!(stream))]);
        self.event(batch.query, batch.records.iter().map(record).collect(), more)
    }

    fn decode(&self, answer: &[u8]) -> Result<HashMap<String, Processed>, String> {
        let answer: Answer = serde_json::from_slice(answer)
            .map_err(|error| format!("expected an answer with records, each with its recordId and result: {error}"))?;
        let said = |record: AnsweredRecord| {
            let processed = record.processed()?;
            Ok((record.record_id, processed))
        };
        answer.records.into_iter().map(said).collect()
    }

    fn records_max(&self) -> usize {
        RECORDS_MAX
    }
}

#[cfg(test)]
mod tests {
    use millstream_types::LogId;

    use super::*;
    use crate::place::Place;

    #[test]
    fn the_shape_is_the_services_own() {
        let codec = LambdaCodec::new(Place::new("us-east-1"));
        let record = Record {
            offset: 7,
            append_time: 1_700_000_000_123,
            partition_key: Bytes::from_static(b"k"),
            headers: Bytes::new(),
            data: Bytes::from_static(b"{}"),
        };
        let records = std::slice::from_ref(&record);
        let batch = ProcessingBatch { query: "trades", stream: "in", shard: 2, log: LogId(4), records };
        let id = batch.id(&record);
        let event: Value = serde_json::from_slice(&codec.encode(&batch)).unwrap();
        assert_eq!(event["applicationArn"], "arn:aws:kinesisanalytics:us-east-1:000000000000:application/trades");
        assert_eq!(event["streamArn"], "arn:aws:kinesis:us-east-1:000000000000:stream/in");
        let metadata = json!({
            "sequenceNumber": id, "partitionKey": "k", "shardId": "shardId-000000000002",
            "approximateArrivalTimestamp": 1_700_000_000_123_i64,
        });
        assert_eq!(
            event["records"],
            json!([{ "recordId": id, "data": "e30=", "kinesisStreamRecordMetadata": metadata }])
        );
        let delivered: Value =
            serde_json::from_slice(&codec.encode(&ProcessingBatch { stream: "delivery/d", ..batch })).unwrap();
        assert_eq!(delivered["streamArn"], "arn:aws:firehose:us-east-1:000000000000:deliverystream/d");
        let metadata = json!({ "approximateArrivalTimestamp": 1_700_000_000_123_i64 });
        assert_eq!(delivered["records"][0]["kinesisFirehoseRecordMetadata"], metadata);
    }

    #[test]
    fn answers_say_what_became_of_records() {
        let codec = LambdaCodec::new(Place::new("us-east-1"));
        let answer = br#"{"records":[{"recordId":"7","result":"Ok","data":"e30="},{"recordId":"8","result":"Dropped"},
            {"recordId":"9","result":"ProcessingFailed","data":"e30="}]}"#;
        let said = codec.decode(answer).unwrap();
        assert_eq!(said["7"], Processed::Record(Bytes::from_static(b"{}")));
        assert_eq!((&said["8"], &said["9"]), (&Processed::Dropped, &Processed::Failed));
        for (wrong, why) in [
            (r#"{"records":[{"recordId":"7","result":"Ok"}]}"#, "has no data"),
            (r#"{"records":[{"recordId":"7","result":"Ok","data":"?"}]}"#, "no base64"),
            (r#"{"records":[{"recordId":"7","result":"Fine","data":""}]}"#, "found Fine"),
            ("null", "expected an answer with records"),
        ] {
            let error = codec.decode(wrong.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
