//! A message as a record, and back.
//!
//! The record's data is the body's bytes, so that every protocol reads what was sent; its partition key is the
//! message's. What else a message has goes to the record's headers, in an encoding of this front:
//!
//! `1` (its version), a byte for the body (0: one data section, which is the record's data; 1: another), the number of keys
//! and values of the message annotations, then five parts, each behind its length: the bytes of those keys and values, the
//! section of delivery annotations, the sections of properties, the sections of a body of another kind, the footer. Numbers
//! and lengths are 32 bits, big-endian. A body of another kind has as the record's data what others can read: several data
//! sections one after the other, values and sequences as JSON.
//!
//! Headers are empty when there is nothing to say. Those of records that came by another protocol may be of the form that no
//! protocol owns (`millstream_types::Properties`), see `properties`. The header
//! section of a message is not kept, nor annotations that the service itself makes.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use millstream_amqp::codec::encode::put_value;
use millstream_amqp::message::{Section, SectionKind, put_section, put_section_head, sections};
use millstream_amqp::{DecodeError, Value};
use millstream_event::RecordForm;
use millstream_stream::Entry;
use millstream_types::{Properties, Record};

use super::{properties, rendering};

/// Messages of this format hold further messages: each data section is one.
pub const BATCH_FORMAT: u32 = 0x8001_3700;

/// Events of one batch: the smallest event that a message of the largest size has room for comes to more.
const BATCH_EVENTS_MAX: usize = 100_000;

const VERSION: u8 = 1;
const PARTITION_KEY: &str = "x-opt-partition-key";
const SEQUENCE: &str = "com.microsoft:producer-sequence-number";
/// Annotations that the service itself makes, or that are between it and a producer.
const OWN: [&str; 8] = [
    PARTITION_KEY,
    SEQUENCE,
    "com.microsoft:producer-epoch",
    "com.microsoft:producer-id",
    "x-opt-sequence-number",
    "x-opt-sequence-number-epoch",
    "x-opt-offset",
    "x-opt-enqueued-time",
];

/// Events as they came in one delivery.
#[derive(Debug)]
pub struct Batch {
    /// The key that decides the partition of all of them: the batch's, else the first event's.
    pub partition_key: Option<String>,
    /// The first event's number, when its producer numbers what it sends.
    pub sequence: Option<i32>,
    /// The events.
    pub entries: Vec<Entry>,
}

/// Takes a delivery apart.
///
/// # Errors
/// [`DecodeError`] when it is no message, or a batch of what is none.
pub fn decode(format: u32, message: Bytes) -> Result<Batch, DecodeError> {
    if format != BATCH_FORMAT {
        let (entry, sequence) = event(message, None)?;
        return Ok(Batch { partition_key: key_text(&entry.partition_key), sequence, entries: vec![entry] });
    }
    let (mut key, mut sequence) = (None, None);
    let mut entries = Vec::new();
    for section in sections(message) {
        let section = section?;
        match section.kind {
            SectionKind::MessageAnnotations => {
                let annotations = section.value()?;
                key = annotation(&annotations, PARTITION_KEY);
                sequence = sequence_of(&annotations);
            }
            SectionKind::Data => {
                if entries.len() >= BATCH_EVENTS_MAX {
                    return Err(DecodeError::Count(BATCH_EVENTS_MAX));
                }
                let (entry, own) = event(data(&section)?, key.as_deref())?;
                if entries.is_empty() {
                    sequence = sequence.or(own);
                }
                entries.push(entry);
            }
            _ => {}
        }
    }
    let first = entries.first().and_then(|entry: &Entry| key_text(&entry.partition_key));
    Ok(Batch { partition_key: key.or(first), sequence, entries })
}

fn key_text(key: &Bytes) -> Option<String> {
    (!key.is_empty()).then(|| String::from_utf8_lossy(key).into_owned())
}

fn annotation(annotations: &Value, name: &str) -> Option<String> {
    annotations.get(name).and_then(Value::text).map(str::to_owned)
}

fn sequence_of(annotations: &Value) -> Option<i32> {
    annotations.get(SEQUENCE).and_then(Value::integer).and_then(|number| i32::try_from(number).ok())
}

/// A data section's bytes; none when it holds a null, as some clients send.
fn data(section: &Section) -> Result<Bytes, DecodeError> {
    match section.value()? {
        Value::Binary(bytes) => Ok(bytes),
        Value::Null => Ok(Bytes::new()),
        _ => Err(DecodeError::Type { expected: "a binary", field: "data" }),
    }
}

/// A message as an entry, with its number if it has one.
fn event(message: Bytes, batch_key: Option<&str>) -> Result<(Entry, Option<i32>), DecodeError> {
    let mut sequence = None;
    let mut key = batch_key.map(str::to_owned);
    let mut kept = Kept::default();
    let mut body = Vec::new();
    for section in sections(message) {
        let section = section?;
        match section.kind {
            SectionKind::MessageAnnotations => {
                let annotations = section.value()?;
                key = annotation(&annotations, PARTITION_KEY).or(key);
                sequence = sequence_of(&annotations);
                kept.annotate(&annotations);
            }
            SectionKind::Header => {}
            kind if kind.is_body() => body.push(section),
            kind => {
                // Decoded once, so that nobody gets what is no value.
                section.value()?;
                let part = match kind {
                    SectionKind::DeliveryAnnotations => &mut kept.delivery_annotations,
                    SectionKind::Footer => &mut kept.footer,
                    _ => &mut kept.properties,
                };
                part.extend_from_slice(&section.raw);
            }
        }
    }
    let data = match &body[..] {
        [only] if only.kind == SectionKind::Data && only.value()? != Value::Null => data(only)?,
        other => {
            body.iter().for_each(|section| kept.body.extend_from_slice(&section.raw));
            kept.other_body = true;
            rendered(other)?
        }
    };
    let partition_key = key.map(Bytes::from).unwrap_or_default();
    Ok((Entry { partition_key, explicit_hash_key: None, headers: kept.encode(), data }, sequence))
}

/// A body of another kind than one data section, for those who read bytes.
fn rendered(body: &[Section]) -> Result<Bytes, DecodeError> {
    let mut out = BytesMut::new();
    for section in body {
        match section.kind {
            SectionKind::Data => out.extend_from_slice(&data(section)?),
            _ => out.extend_from_slice(rendering::json(&section.value()?).to_string().as_bytes()),
        }
    }
    Ok(out.freeze())
}

/// What goes to a record's headers.
#[derive(Debug, Default)]
struct Kept {
    annotation_items: u32,
    annotations: BytesMut,
    delivery_annotations: BytesMut,
    properties: BytesMut,
    other_body: bool,
    body: BytesMut,
    footer: BytesMut,
}

impl Kept {
    fn annotate(&mut self, annotations: &Value) {
        let Value::Map(entries) = annotations else { return };
        for (name, value) in entries.iter().filter(|(name, _)| !name.text().is_some_and(|name| OWN.contains(&name))) {
            put_value(&mut self.annotations, name);
            put_value(&mut self.annotations, value);
            self.annotation_items += 2;
        }
    }

    fn encode(self) -> Bytes {
        let Self { annotation_items, annotations, delivery_annotations, properties, other_body, body, footer } = self;
        let parts = [annotations, delivery_annotations, properties, body, footer];
        if parts.iter().all(|part| part.is_empty()) && !other_body {
            return Bytes::new();
        }
        let mut out = BytesMut::with_capacity(parts.iter().map(|part| part.len() + 4).sum::<usize>() + 6);
        out.put_slice(&[VERSION, u8::from(other_body)]);
        out.put_u32(annotation_items);
        for part in parts {
            out.put_u32(part.len() as u32);
            out.put_slice(&part);
        }
        out.freeze()
    }
}

/// A record taken apart, to be sent as a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) annotation_items: u32,
    pub(super) annotations: Bytes,
    delivery_annotations: Bytes,
    pub(super) properties: Bytes,
    /// The body's sections when it is not the record's data.
    body: Option<Bytes>,
    footer: Bytes,
}

impl Headers {
    /// `None` for headers of a form that is not known here.
    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        if let Some(known) = Properties::decode(&bytes) {
            return Some(properties::of_message(&known));
        }
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let other_body = bytes.try_get_u8().ok()? == 1;
        let annotation_items = bytes.try_get_u32().ok()?;
        let mut part = || {
            let length = bytes.try_get_u32().ok()? as usize;
            (length <= bytes.len()).then(|| bytes.split_to(length))
        };
        Some(Self {
            annotation_items,
            annotations: part()?,
            delivery_annotations: part()?,
            properties: part()?,
            body: Some(part()?).filter(|_| other_body),
            footer: part()?,
        })
    }
}

/// A record's message: what is made here is written to `out`, what follows it (the body and the footer) is given as the
/// record's own bytes. `delivery_annotations` stand in place of those that were sent.
pub fn encode(record: &Record, delivery_annotations: Option<&Value>, out: &mut BytesMut) -> [Bytes; 2] {
    let headers = Headers::decode(record.headers.clone()).unwrap_or_default();
    match delivery_annotations {
        Some(annotations) => put_section(out, SectionKind::DeliveryAnnotations, annotations),
        None => out.put_slice(&headers.delivery_annotations),
    }
    let mut own = BytesMut::new();
    let mut items = 6;
    if !record.partition_key.is_empty() {
        items += 2;
        put_value(&mut own, &Value::symbol(PARTITION_KEY));
        put_value(&mut own, &Value::string(String::from_utf8_lossy(&record.partition_key).into_owned()));
    }
    let offset = record.offset.cast_signed();
    for (name, value) in [
        ("x-opt-sequence-number", Value::Long(offset)),
        ("x-opt-offset", Value::string(offset.to_string())),
        ("x-opt-enqueued-time", Value::Timestamp(record.append_time)),
    ] {
        put_value(&mut own, &Value::symbol(name));
        put_value(&mut own, &value);
    }
    put_section_head(out, SectionKind::MessageAnnotations);
    out.put_u8(0xd1);
    out.put_u32((own.len() + headers.annotations.len() + 4) as u32);
    out.put_u32(items + headers.annotation_items);
    out.put_slice(&own);
    out.put_slice(&headers.annotations);
    out.put_slice(&headers.properties);
    let body = headers.body.unwrap_or_else(|| {
        put_section_head(out, SectionKind::Data);
        put_sized_head(out, record.data.len());
        record.data.clone()
    });
    [body, headers.footer]
}

/// What stands before a binary's bytes.
fn put_sized_head(out: &mut BytesMut, length: usize) {
    match u8::try_from(length) {
        Ok(length) => out.put_slice(&[0xa0, length]),
        Err(_) => {
            out.put_u8(0xb0);
            out.put_u32(length as u32);
        }
    }
}

/// An event that did not come as a message: `fields` are those of its properties, in their order, `properties` the
/// application's.
pub fn with_properties(data: Bytes, key: Option<&str>, fields: Vec<Value>, properties: &[(String, Value)]) -> Entry {
    let mut kept = Kept::default();
    if !fields.is_empty() {
        put_section(&mut kept.properties, SectionKind::Properties, &Value::List(fields));
    }
    if !properties.is_empty() {
        let map = properties.iter().map(|(name, value)| (Value::string(name.clone()), value.clone())).collect();
        put_section(&mut kept.properties, SectionKind::ApplicationProperties, &Value::Map(map));
    }
    let partition_key = key.map(|key| Bytes::copy_from_slice(key.as_bytes())).unwrap_or_default();
    Entry { partition_key, explicit_hash_key: None, headers: kept.encode(), data }
}

/// How records of hubs have properties.
pub struct HubRecords;

impl RecordForm for HubRecords {
    fn headers(&self, properties: &[(String, String)]) -> Bytes {
        let properties: Vec<(String, Value)> =
            properties.iter().map(|(name, value)| (name.clone(), Value::string(value.clone()))).collect();
        with_properties(Bytes::new(), None, Vec::new(), &properties).headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sections: &[(SectionKind, Value)]) -> Bytes {
        let mut out = BytesMut::new();
        sections.iter().for_each(|(kind, value)| put_section(&mut out, *kind, value));
        out.freeze()
    }

    fn map(entries: &[(&'static str, Value)]) -> Value {
        Value::Map(entries.iter().map(|(name, value)| (Value::symbol(*name), value.clone())).collect())
    }

    fn record(entry: &Entry) -> Record {
        let Entry { partition_key, headers, data, .. } = entry.clone();
        Record { offset: 41, append_time: 7, partition_key, headers, data }
    }

    fn whole(record: &Record) -> Bytes {
        let mut out = BytesMut::new();
        let rest = encode(record, None, &mut out);
        rest.iter().for_each(|part| out.extend_from_slice(part));
        out.freeze()
    }

    fn sections_of(message: Bytes) -> Vec<(SectionKind, Value)> {
        sections(message)
            .map(|section| section.map(|section| (section.kind, section.value().unwrap())).unwrap())
            .collect()
    }

    #[test]
    fn a_plain_event_is_a_record_without_headers() {
        let plain = message(&[(SectionKind::Data, Value::Binary("body".into()))]);
        let batch = decode(0, plain).unwrap();
        assert_eq!((batch.partition_key, &batch.entries[0].data[..]), (None, &b"body"[..]));
        assert!(batch.entries[0].headers.is_empty());
    }

    #[test]
    fn what_an_event_has_comes_back_with_the_services_own_annotations() {
        let properties = Value::List(vec![Value::string("id")]);
        let application = map(&[("n", Value::Int(7))]);
        let (delivery, footer) = (map(&[("d", Value::Int(1))]), map(&[("f", Value::Int(2))]));
        let sent = message(&[
            (SectionKind::Header, Value::List(vec![Value::Bool(true)])),
            (SectionKind::DeliveryAnnotations, delivery.clone()),
            (
                SectionKind::MessageAnnotations,
                map(&[
                    (PARTITION_KEY, Value::string("MSFT")),
                    ("x-opt-offset", Value::string("forged")),
                    ("mine", Value::Long(1)),
                ]),
            ),
            (SectionKind::Properties, properties.clone()),
            (SectionKind::ApplicationProperties, application.clone()),
            (SectionKind::Data, Value::Binary("body".into())),
            (SectionKind::Footer, footer.clone()),
        ]);
        let batch = decode(0, sent).unwrap();
        assert_eq!(batch.partition_key.as_deref(), Some("MSFT"));
        let came = sections_of(whole(&record(&batch.entries[0])));
        let annotations = map(&[
            (PARTITION_KEY, Value::string("MSFT")),
            ("x-opt-sequence-number", Value::Long(41)),
            ("x-opt-offset", Value::string("41")),
            ("x-opt-enqueued-time", Value::Timestamp(7)),
            ("mine", Value::Long(1)),
        ]);
        assert_eq!(
            came,
            [
                (SectionKind::DeliveryAnnotations, delivery),
                (SectionKind::MessageAnnotations, annotations),
                (SectionKind::Properties, properties),
                (SectionKind::ApplicationProperties, application),
                (SectionKind::Data, Value::Binary("body".into())),
                (SectionKind::Footer, footer),
            ]
        );
    }

    #[test]
    fn bodies_of_other_kinds_come_back_and_are_readable_by_others() {
        let bodies: &[(&[(SectionKind, Value)], &str)] = &[
            (&[(SectionKind::AmqpValue, Value::List(vec![Value::Int(1), Value::string("a")]))], r#"[1,"a"]"#),
            (&[(SectionKind::Data, Value::Binary("a".into())), (SectionKind::Data, Value::Binary("b".into()))], "ab"),
            (&[(SectionKind::Data, Value::Null)], ""),
            (&[(SectionKind::AmqpSequence, Value::List(vec![Value::Int(1)]))], "[1]"),
            (&[], ""),
        ];
        for (body, readable) in bodies {
            let entry = decode(0, message(body)).unwrap().entries.remove(0);
            assert_eq!(entry.data, readable.as_bytes());
            let came = sections_of(whole(&record(&entry)));
            assert_eq!(&came[1..], *body);
        }
    }

    #[test]
    fn a_batch_gives_its_key_to_its_events() {
        let inner = |body: &'static str| Value::Binary(message(&[(SectionKind::Data, Value::Binary(body.into()))]));
        let batch = message(&[
            (SectionKind::MessageAnnotations, map(&[(PARTITION_KEY, Value::string("k"))])),
            (SectionKind::Data, inner("a")),
            (SectionKind::Data, inner("b")),
        ]);
        let batch = decode(BATCH_FORMAT, batch).unwrap();
        let events: Vec<_> = batch.entries.iter().map(|entry| (&entry.partition_key[..], &entry.data[..])).collect();
        assert_eq!(events, [(&b"k"[..], &b"a"[..]), (b"k", b"b")]);
        let broken = message(&[(SectionKind::Data, Value::Binary("no message".into()))]);
        assert!(decode(BATCH_FORMAT, broken).is_err());
    }

    #[test]
    fn records_of_other_protocols_are_data() {
        for headers in ["", "other"] {
            let record = Record {
                offset: 0,
                append_time: 0,
                partition_key: Bytes::new(),
                headers: headers.into(),
                data: Bytes::from(vec![b'x'; 300]),
            };
            let came = sections_of(whole(&record));
            assert_eq!(came[1], (SectionKind::Data, Value::Binary(record.data)));
        }
    }
}
