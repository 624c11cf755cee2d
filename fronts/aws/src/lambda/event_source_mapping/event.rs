//! The events in which records and messages go to functions, and what functions answer.
//!
//! Source: the Lambda developer guide, "Using Lambda to process records from Amazon Kinesis Data Streams", "Using Lambda with
//! Amazon SQS", "Configuring partial batch response". Changes of tables are shown by [`crate::dynamodbstreams`].

use base64_simd::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use millstream_catalog::{Catalog, EventSource, FunctionDefinition};
use millstream_mapping::{EventCodec, Filter, Origin, Report, WindowShown};
use millstream_stream::aggregate::{self, Packed};
use millstream_stream::{SequenceNumber, ShardId};
use millstream_types::{MessageAttribute, MessageAttributeValue, ReceivedMessage, Record};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::log_group;
use super::{pattern, source};
use crate::dynamodbstreams::record;
use crate::place::Place;
use crate::seal::Seal;
use crate::sqs::seal_receipt;

/// Bytes of a record in an event besides its data, at most.
const PACKED_FRAME_BYTES: usize = 1 << 10;
/// Bytes of the records that were packed into one, in an event: well below what an invocation may carry.
const PACKED_BYTES_MAX: usize = 5 << 20;

/// Events of the Lambda service.
pub struct LambdaEvents {
    place: Place,
    catalog: Catalog,
    seal: Seal,
}

impl LambdaEvents {
    /// Events that name things of a place; the catalog knows the functions' roles. `seal` is that of the queues' clients:
    /// functions may delete messages themselves.
    #[must_use]
    pub fn new(place: Place, catalog: Catalog, seal: Seal) -> Self {
        Self { place, catalog, seal }
    }

    fn role(&self, function: &str) -> Option<String> {
        self.catalog.functions.referred(function, |found| found.role.clone())
    }

    fn kinesis_record(&self, origin: &Origin, record: &Record) -> Bytes {
        let shard = ShardId(origin.shard);
        let sequence = SequenceNumber { log: origin.log, offset: record.offset };
        let role = self.role(&origin.function);
        let text = |text: &str| Value::from(text).to_string();
        Bytes::from(format!(
            concat!(
                r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":{key},"sequenceNumber":"{sequence}","#,
                r#""data":"{data}","approximateArrivalTimestamp":{seconds}.{millis:03}}},"eventSource":"aws:kinesis","#,
                r#""eventVersion":"1.0","eventID":"{shard}:{sequence}","eventName":"aws:kinesis:record","#,
                r#""invokeIdentityArn":{role},"awsRegion":{region},"eventSourceARN":{arn}}}"#,
            ),
            key = text(&String::from_utf8_lossy(&record.partition_key)),
            sequence = sequence,
            data = STANDARD.encode_to_string(&record.data),
            seconds = record.append_time.div_euclid(1_000),
            millis = record.append_time.rem_euclid(1_000),
            shard = shard,
            role = text(&role.unwrap_or_default()),
            region = text(&self.place.region),
            arn = text(&source::arn(&self.place, &origin.source)),
        ))
    }
}

impl EventCodec for LambdaEvents {
    fn record(&self, origin: &Origin, stored: &Record) -> Result<Bytes, String> {
        match &origin.source {
            EventSource::Stream { .. } => Ok(self.kinesis_record(origin, stored)),
            EventSource::Table { .. } => {
                let arn = source::arn(&self.place, &origin.source);
                let shown = record::event(origin.log, stored, &arn, &self.place).map_err(|error| error.to_string())?;
                Ok(Bytes::from(shown.to_string()))
            }
            EventSource::Queue { name } => Err(format!("queue `{name}` has messages, not records")),
        }
    }

    fn wanted(&self, origin: &Origin, stored: &Record, wants: &dyn Fn(&[u8]) -> bool) -> Result<Option<Bytes>, String> {
        let packed = aggregate::unpack(&stored.data).filter(|packed| {
            // What would not fit into an event goes as it came.
            stored.data.len() * 2 + packed.len() * PACKED_FRAME_BYTES <= PACKED_BYTES_MAX
        });
        let (EventSource::Stream { .. }, Some(packed)) = (&origin.source, packed) else {
            let shown = self.record(origin, stored)?;
            return Ok(wants(&shown).then_some(shown));
        };
        let of_packed = |packed: &Packed<'_>| Record {
            partition_key: stored.data.slice_ref(packed.partition_key),
            data: stored.data.slice_ref(packed.data),
            ..stored.clone()
        };
        let shown = packed.iter().map(|packed| self.kinesis_record(origin, &of_packed(packed)));
        let wanted: Vec<Bytes> = shown.filter(|shown| wants(shown)).collect();
        Ok((!wanted.is_empty()).then(|| Bytes::from(wanted.join(&b','))))
    }

    fn message(&self, queue: &str, message: &ReceivedMessage) -> Bytes {
        let attributes: Map<String, Value> = message.attributes.iter().map(attribute).collect();
        let number = self.catalog.queues.get(queue).map(|queue| queue.number);
        let rare = [
            ("AWSTraceHeader", message.trace.clone()),
            ("MessageGroupId", message.group.clone()),
            ("DeadLetterQueueSourceArn", message.dead_from.as_ref().map(|queue| self.place.arn("sqs", queue))),
        ];
        let mut shown = json!({
            "messageId": message.id,
            "receiptHandle": seal_receipt(&self.seal, number.unwrap_or_default(), &message.receipt),
            "body": String::from_utf8_lossy(&message.body),
            "attributes": {
                "ApproximateReceiveCount": message.receives.to_string(),
                "SentTimestamp": message.sent.to_string(),
                "SenderId": self.place.account,
                "ApproximateFirstReceiveTimestamp": message.first_received.to_string(),
            },
            "messageAttributes": attributes,
            "md5OfBody": hex::encode(Md5::digest(&message.body)),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.place.arn("sqs", queue),
            "awsRegion": self.place.region,
        });
        for (name, value) in rare {
            if let Some(value) = value {
                shown["attributes"][name] = Value::String(value);
            }
        }
        Bytes::from(shown.to_string())
    }

    fn event(&self, records: &[Bytes]) -> Bytes {
        let mut event = Vec::with_capacity(records.iter().map(|record| record.len() + 1).sum::<usize>() + 16);
        event.extend_from_slice(b"{\"Records\":[");
        for (index, record) in records.iter().enumerate() {
            if index > 0 {
                event.push(b',');
            }
            event.extend_from_slice(record);
        }
        event.extend_from_slice(b"]}");
        Bytes::from(event)
    }

    fn window_event(&self, origin: &Origin, records: &[Bytes], window: &WindowShown) -> Bytes {
        let mut event = self.event(records).to_vec();
        // More members follow.
        event.pop();
        let WindowShown { start, end, state, is_final, early } = window;
        let others = format!(
            concat!(
                r#","window":{{"start":"{start}","end":"{end}"}},"state":{state},"shardId":{shard},"#,
                r#""eventSourceARN":{arn},"isFinalInvokeForWindow":{is_final},"isWindowTerminatedEarly":{early}}}"#,
            ),
            start = seconds(*start),
            end = seconds(*end),
            state = state,
            shard = Value::from(source::shard_id(origin)),
            arn = Value::from(source::arn(&self.place, &origin.source)),
            is_final = is_final,
            early = early,
        );
        event.extend_from_slice(others.as_bytes());
        Bytes::from(event)
    }

    fn window_state(&self, answer: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            state: &'a RawValue,
        }
        let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
        Some(answer.state.get().to_owned()).filter(|state| state != "null")
    }

    fn record_id(&self, origin: &Origin, offset: u64) -> String {
        source::sequence_number(&origin.source, origin.log, offset)
    }

    fn log_group(&self, function: &str) -> String {
        log_group(FunctionDefinition::split_reference(function).0)
    }

    fn report(&self, answer: &[u8]) -> Report {
        report(answer)
    }

    fn filter(&self, source: &EventSource, patterns: &[String]) -> Result<Filter, String> {
        pattern::filter(source, patterns)
    }
}

/// `2020-07-30T17:00:00Z`: windows begin and end with whole seconds.
fn seconds(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// An attribute's name and how events show it.
fn attribute(attribute: &MessageAttribute) -> (String, Value) {
    let (member, value) = match &attribute.value {
        MessageAttributeValue::Text(text) => ("stringValue", text.clone()),
        MessageAttributeValue::Binary(bytes) => ("binaryValue", STANDARD.encode_to_string(bytes)),
    };
    let mut shown = json!({ "stringListValues": [], "binaryListValues": [], "dataType": attribute.kind });
    shown[member] = json!(value);
    (attribute.name.clone(), shown)
}

/// Nothing, `null`, and an object without failures say that all is taken; what is no such report says nothing.
fn report(answer: &[u8]) -> Report {
    #[derive(Deserialize)]
    struct Item {
        #[serde(rename = "itemIdentifier")]
        id: String,
    }
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "batchItemFailures")]
        failures: Option<Vec<Item>>,
    }
    if answer.is_empty() || answer == b"\"\"" {
        return Report::Everything;
    }
    match serde_json::from_slice::<Option<Answer>>(answer) {
        Ok(None | Some(Answer { failures: None })) => Report::Everything,
        Ok(Some(Answer { failures: Some(items) })) if items.iter().any(|item| item.id.is_empty()) => Report::Unreadable,
        Ok(Some(Answer { failures: Some(items) })) => Report::Failed(items.into_iter().map(|item| item.id).collect()),
        Err(_) => Report::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_storage::Storage;
    use millstream_types::{LogId, ManualClock};

    use super::*;

    fn events() -> LambdaEvents {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        LambdaEvents::new(Place::new("us-east-1"), Catalog::open(&storage).unwrap(), Seal::random())
    }

    #[test]
    fn records_have_the_services_shape() {
        let events = events();
        let source = EventSource::Stream { name: "tweets".into() };
        let origin = Origin { source, function: "decode".into(), shard: 3, log: LogId(7) };
        let record = Record {
            offset: 12,
            append_time: 1_545_084_650_007,
            partition_key: Bytes::from_static(b"a\"b"),
            headers: Bytes::new(),
            data: Bytes::from_static(b"hello"),
        };
        let encoded = events.record(&origin, &record).unwrap();
        let event = events.event(&[encoded.clone(), encoded]);
        assert!(event.len() <= 2 * (events.record(&origin, &record).unwrap().len() + 1) + 64);
        let event: Value = serde_json::from_slice(&event).unwrap();
        let sequence = events.record_id(&origin, 12);
        let expected = json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "a\"b", "sequenceNumber": sequence, "data": "aGVsbG8=",
                "approximateArrivalTimestamp": 1_545_084_650.007,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": format!("shardId-000000000003:{sequence}"),
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "",
            "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/tweets",
        });
        assert_eq!(event, json!({ "Records": [expected, expected] }));
    }

    #[test]
    fn windows_are_shown_around_records() {
        let events = events();
        let source = EventSource::Stream { name: "tweets".into() };
        let origin = Origin { source, function: "decode".into(), shard: 6, log: LogId(7) };
        let window = WindowShown {
            start: 1_596_128_400_000,
            end: 1_596_128_700_000,
            state: r#"{"1":"282"}"#.into(),
            is_final: true,
            early: false,
        };
        let event: Value = serde_json::from_slice(&events.window_event(&origin, &[], &window)).unwrap();
        let expected = json!({
            "Records": [],
            "window": { "start": "2020-07-30T17:00:00Z", "end": "2020-07-30T17:05:00Z" },
            "state": { "1": "282" },
            "shardId": "shardId-000000000006",
            "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/tweets",
            "isFinalInvokeForWindow": true,
            "isWindowTerminatedEarly": false,
        });
        assert_eq!(event, expected);
        for (answer, expected) in [
            (r#"{"state": {"a": 1}, "batchItemFailures": []}"#, Some(r#"{"a": 1}"#)),
            (r#"{"state": null}"#, None),
            ("{}", None),
            ("null", None),
            ("", None),
        ] {
            assert_eq!(events.window_state(answer.as_bytes()).as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn messages_have_the_services_shape() {
        let attribute =
            |name: &str, kind: &str, value| MessageAttribute { name: name.into(), kind: kind.into(), value };
        let message = ReceivedMessage {
            id: "id".into(),
            receipt: "receipt".into(),
            body: Bytes::from_static(b"hello"),
            attributes: vec![
                attribute("a", "String", MessageAttributeValue::Text("x".into())),
                attribute("b", "Binary", MessageAttributeValue::Binary(Bytes::from_static(&[0, 1]))),
            ],
            sent: 5,
            first_received: 6,
            receives: 2,
            visible_at: 9,
            group: Some("tenant".into()),
            ..ReceivedMessage::default()
        };
        let shown: Value = serde_json::from_slice(&events().message("q", &message)).unwrap();
        assert_eq!(shown["attributes"]["ApproximateReceiveCount"], "2");
        assert_eq!(shown["attributes"]["MessageGroupId"], "tenant");
        assert!(shown["attributes"].get("AWSTraceHeader").is_none());
        assert_eq!(shown["md5OfBody"], "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(shown["eventSourceARN"], "arn:aws:sqs:us-east-1:000000000000:q");
        let text = json!({ "stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String" });
        assert_eq!(shown["messageAttributes"]["a"], text);
        assert_eq!(shown["messageAttributes"]["b"]["binaryValue"], "AAE=");
    }

    #[test]
    fn answers_say_what_failed() {
        let failed = |ids: &[&str]| Report::Failed(ids.iter().map(|id| (*id).to_owned()).collect());
        for (answer, expected) in [
            ("", Report::Everything),
            ("null", Report::Everything),
            ("\"\"", Report::Everything),
            ("{}", Report::Everything),
            (r#"{"batchItemFailures":null}"#, Report::Everything),
            (r#"{"batchItemFailures":[]}"#, failed(&[])),
            (r#"{"batchItemFailures":[{"itemIdentifier":"7"},{"itemIdentifier":"8"}]}"#, failed(&["7", "8"])),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, Report::Unreadable),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, Report::Unreadable),
            (r#"{"batchItemFailures":[{"id":"7"}]}"#, Report::Unreadable),
            (r#"{"batchItemFailures":["7"]}"#, Report::Unreadable),
            ("\"done\"", Report::Unreadable),
            ("{", Report::Unreadable),
        ] {
            assert_eq!(report(answer.as_bytes()), expected, "{answer}");
        }
    }
}
