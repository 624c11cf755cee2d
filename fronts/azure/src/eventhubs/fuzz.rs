//! Messages under changed bytes, from a delivery to a record and back: no panic, no memory that the bytes do not pay for, and
//! what a reader is sent is, sent again, the same event. See `millstream_fuzz`.

use bytes::{Bytes, BytesMut};
use millstream_amqp::Value;
use millstream_amqp::message::{SectionKind, put_section};
use millstream_fuzz::{Memory, Target, as_it_is};
use millstream_stream::Entry;
use millstream_types::Record;

use super::record::{BATCH_FORMAT, decode, encode};

fn map(entries: &[(&'static str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(name, value)| (Value::symbol(*name), value.clone())).collect())
}

fn message(body: &[(SectionKind, Value)]) -> Vec<u8> {
    let annotations = map(&[("x-opt-partition-key", Value::string("MSFT")), ("mine", Value::Long(-1))]);
    let mut out = BytesMut::new();
    put_section(&mut out, SectionKind::Header, &Value::List(vec![Value::Bool(true)]));
    put_section(&mut out, SectionKind::MessageAnnotations, &annotations);
    put_section(&mut out, SectionKind::Properties, &Value::List(vec![Value::string("id"), Value::Null]));
    put_section(&mut out, SectionKind::ApplicationProperties, &map(&[("n", Value::Int(7)), ("t", Value::Double(0.5))]));
    body.iter().for_each(|(kind, value)| put_section(&mut out, *kind, value));
    out.to_vec()
}

fn corpus() -> Vec<Vec<u8>> {
    let data = |bytes: &[u8]| (SectionKind::Data, Value::Binary(Bytes::copy_from_slice(bytes)));
    let plain = message(&[data(b"body")]);
    let list = Value::List(vec![Value::Uuid([7; 16]), Value::Timestamp(1), map(&[("k", Value::Null)])]);
    vec![
        message(&[data(&plain), data(&plain)]),
        message(&[(SectionKind::AmqpValue, list.clone())]),
        message(&[(SectionKind::AmqpSequence, list), data(b"")]),
        plain,
    ]
}

/// What a reader of the record is sent.
fn sent(entry: &Entry) -> Bytes {
    let Entry { partition_key, headers, data, .. } = entry.clone();
    let record = Record { offset: 41, append_time: 7, partition_key, headers, data };
    let mut out = BytesMut::new();
    let rest = encode(&record, None, &mut out);
    rest.iter().for_each(|part| out.extend_from_slice(part));
    out.freeze()
}

#[test]
fn messages_become_records_and_messages_again() {
    let corpus = corpus();
    // Bodies of other kinds are read as JSON besides.
    let memory = Memory { fixed: 256 << 10, per_byte: 2 << 10 };
    let target = Target { name: "messages of hubs", corpus: &corpus, mend: as_it_is, memory, rounds: 20_000 };
    let mut taken = 0;
    target.run(|input| {
        for format in [0, BATCH_FORMAT] {
            let Ok(batch) = decode(format, Bytes::copy_from_slice(input)) else { continue };
            for entry in &batch.entries {
                taken += 1;
                let once = sent(entry);
                let again = decode(0, once.clone()).unwrap_or_else(|error| panic!("{entry:?}: {error}"));
                assert_eq!(sent(&again.entries[0]), once);
                assert_eq!(again.entries[0].data, entry.data);
            }
        }
    });
    assert!(taken > 2_000, "changes leave many messages that are taken: {taken}");
}
