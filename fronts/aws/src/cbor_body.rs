//! CBOR bodies of a JSON service (`application/x-amz-cbor-1.1`), which SDKs for Java speak to Kinesis: the same operations and
//! members, with byte strings in the place of base64 and tagged times in milliseconds.
//!
//! Requests become JSON, and answers are made of JSON, so that an operation has one form. Read next: `cbor_protocol.rs` (the
//! newer protocol, whose times are seconds).

use base64_simd::STANDARD;
use bytes::Bytes;
use ciborium::Value as Cbor;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::Value;

use crate::cbor_protocol::{EPOCH_TAG, json};
use crate::json_protocol::ServiceError;

/// The media type.
pub(crate) const CONTENT_TYPE: &str = "application/x-amz-cbor-1.1";

/// Members of answers that are byte strings, and those that are times.
const BLOBS: [&str; 1] = ["Data"];
const TIMES: [&str; 3] = ["ApproximateArrivalTimestamp", "ConsumerCreationTimestamp", "StreamCreationTimestamp"];

/// Whether a request's body is of this kind.
pub(crate) fn is_spoken(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == CONTENT_TYPE)
}

/// A body as JSON; an empty one stays empty.
///
/// # Errors
/// `SerializationException` when it is no CBOR, or holds what JSON has no word for.
pub(crate) fn read(body: &[u8]) -> Result<Bytes, ServiceError> {
    if body.is_empty() {
        return Ok(Bytes::new());
    }
    let value: Cbor =
        ciborium::from_reader(body).map_err(|error| ServiceError::serialization(&format!("no CBOR: {error}")))?;
    Ok(Bytes::from(json(in_seconds(value))?.to_string()))
}

/// Times in seconds, as the JSON protocol has them.
fn in_seconds(value: Cbor) -> Cbor {
    match value {
        Cbor::Tag(EPOCH_TAG, time) => {
            let millis = match *time {
                Cbor::Integer(millis) => i128::from(millis) as f64,
                Cbor::Float(millis) => millis,
                other => return other,
            };
            Cbor::Float(millis / 1_000.0)
        }
        Cbor::Array(items) => Cbor::Array(items.into_iter().map(in_seconds).collect()),
        Cbor::Map(members) => Cbor::Map(members.into_iter().map(|(name, value)| (name, in_seconds(value))).collect()),
        other => other,
    }
}

/// A JSON document as CBOR; an empty body stays empty.
pub(crate) fn write(document: &[u8]) -> Bytes {
    let Ok(value) = serde_json::from_slice::<Value>(document) else { return Bytes::new() };
    let mut body = Vec::with_capacity(document.len());
    // Writing to memory cannot fail.
    let _ = ciborium::into_writer(&cbor(value), &mut body);
    Bytes::from(body)
}

/// A JSON service's answer with its body in CBOR.
pub(crate) fn answer(response: Response<Bytes>) -> Response<Bytes> {
    let mut response = response.map(|body| write(&body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

fn cbor(value: Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(flag) => Cbor::Bool(flag),
        Value::String(text) => Cbor::Text(text),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Cbor::Integer(integer.into()),
            None => Cbor::Float(number.as_f64().unwrap_or_default()),
        },
        Value::Array(items) => Cbor::Array(items.into_iter().map(cbor).collect()),
        Value::Object(members) => Cbor::Map(members.into_iter().map(member).collect()),
    }
}

fn member((name, value): (String, Value)) -> (Cbor, Cbor) {
    let value = match (&value, name.as_str()) {
        (Value::String(text), blob) if BLOBS.contains(&blob) => {
            STANDARD.decode_to_vec(text).map_or_else(|_| cbor(value.clone()), Cbor::Bytes)
        }
        (Value::Number(seconds), time) if TIMES.contains(&time) => {
            let millis = (seconds.as_f64().unwrap_or_default() * 1_000.0).round() as i64;
            Cbor::Tag(EPOCH_TAG, Box::new(Cbor::Integer(millis.into())))
        }
        _ => cbor(value),
    };
    (Cbor::Text(name), value)
}

#[cfg(test)]
mod tests {
    use millstream_fuzz::{Memory, Target, as_it_is};
    use serde_json::json;

    use super::*;

    fn encode(value: &Cbor) -> Vec<u8> {
        let mut body = Vec::new();
        ciborium::into_writer(value, &mut body).unwrap();
        body
    }

    fn text(text: &str) -> Cbor {
        Cbor::Text(text.to_owned())
    }

    #[test]
    fn bodies_come_as_json_and_go_as_cbor() {
        let time = |millis: i64| Cbor::Tag(EPOCH_TAG, Box::new(Cbor::Integer(millis.into())));
        let sent = Cbor::Map(vec![
            (text("Data"), Cbor::Bytes(vec![1, 2])),
            (text("Timestamp"), time(1_500)),
            (text("ShardCount"), Cbor::Integer(2.into())),
        ]);
        let read: Value = serde_json::from_slice(&read(&encode(&sent)).unwrap()).unwrap();
        assert_eq!(read, json!({ "Data": "AQI=", "Timestamp": 1.5, "ShardCount": 2 }));

        let document = json!({ "Records": [{ "Data": "AQI=", "ApproximateArrivalTimestamp": 1.5 }], "N": 3 });
        let written: Cbor = ciborium::from_reader(&write(document.to_string().as_bytes())[..]).unwrap();
        let record = [(text("Data"), Cbor::Bytes(vec![1, 2])), (text("ApproximateArrivalTimestamp"), time(1_500))];
        let members = written.as_map().unwrap();
        assert!(members.contains(&(text("N"), Cbor::Integer(3.into()))));
        let (_, records) = members.iter().find(|(name, _)| *name == text("Records")).unwrap();
        let found = records.as_array().unwrap()[0].as_map().unwrap();
        assert!(record.iter().all(|member| found.contains(member)), "{found:?}");
    }

    #[test]
    fn changed_bytes_do_no_harm_and_what_is_read_is_written_the_same() {
        let documents = [
            json!({ "StreamName": "trades", "Records": [{ "Data": "AQI=", "PartitionKey": "k" }, { "Data": "", "N": -7 }] }),
            json!({ "ShardIterator": "x".repeat(300), "Limit": 10_000, "Wide": i64::MIN, "Part": 1.5, "No": null, "Yes": true }),
        ];
        let mut corpus: Vec<Vec<u8>> =
            documents.iter().map(|body| write(body.to_string().as_bytes()).to_vec()).collect();
        // A text and bytes in pieces, a map without a length, a time.
        corpus.push(b"\xbf\x7f\x61a\x61b\xff\x5f\x41\x01\xff\x61t\xc1\x1a\x65\x00\x00\x00\xff".to_vec());
        corpus.push(
            b"\xbf\x64Data\x5f\x41\x01\x42\x02\x03\xff\x61t\xc1\xfb\x40\x09\x21\xfb\x54\x44\x2d\x18\xff".to_vec(),
        );
        // A byte may become a value, a JSON value and text for it; strings are read in pieces of some thousands of bytes.
        let memory = Memory { fixed: 128 << 10, per_byte: 1 << 10 };
        let target = Target { name: "CBOR bodies", corpus: &corpus, mend: as_it_is, memory, rounds: 20_000 };
        let mut taken = 0;
        target.run(|input| {
            let newer = crate::cbor_protocol::read(input);
            let Ok(document) = read(input) else { return };
            assert!(newer.is_ok(), "both protocols read the same CBOR");
            taken += 1;
            // A number with a part loses its last bit in text, a time what is below a millisecond.
            let whole = !document.contains(&b'.')
                && !TIMES.iter().any(|time| document.windows(time.len()).any(|part| part == time.as_bytes()));
            let written = write(&document);
            // JSON is not read as deep as CBOR is.
            if whole && !written.is_empty() {
                assert_eq!(read(&written).unwrap(), document);
            }
        });
        assert!(taken > 1_000, "changes leave many bodies that are taken: {taken}");
    }

    #[test]
    fn nonsense_is_refused_and_nothing_stays_nothing() {
        assert_eq!(read(b"{\"a\":1}").unwrap_err().code, "SerializationException");
        assert_eq!((read(b"").unwrap(), write(b"")), (Bytes::new(), Bytes::new()));
    }
}
