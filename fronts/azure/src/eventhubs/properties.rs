//! Named values of records across protocols: what a record that came by another one has is a message's application
//! properties, and the other way round.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use millstream_amqp::Value;
use millstream_amqp::codec::encode::put_value;
use millstream_amqp::message::{SectionKind, put_section, sections};
use millstream_types::Properties;

use super::record::Headers;
use super::rendering;

/// The annotation that holds a key that is no text.
const KEY: &str = "x-opt-kafka-key";

/// What a message has beside its body, for a record with these properties.
pub(super) fn of_message(properties: &Properties) -> Headers {
    let mut headers = Headers::default();
    if let Some(key) = &properties.key {
        let mut annotations = BytesMut::new();
        put_value(&mut annotations, &Value::symbol(KEY));
        put_value(&mut annotations, &Value::Binary(key.clone()));
        (headers.annotation_items, headers.annotations) = (2, annotations.freeze());
    }
    // A map has a name once: the last of that name counts, as it does for most readers.
    let mut seen = HashSet::new();
    let last = properties.named.iter().rev().filter_map(|(name, value)| {
        let name = String::from_utf8_lossy(name);
        let value = || (Value::string(name.clone().into_owned()), value.clone().map_or(Value::Null, Value::Binary));
        seen.insert(name.clone()).then(value)
    });
    let mut map: Vec<(Value, Value)> = last.collect();
    map.reverse();
    if !map.is_empty() {
        let mut section = BytesMut::new();
        put_section(&mut section, SectionKind::ApplicationProperties, &Value::Map(map));
        headers.properties = section.freeze();
    }
    headers
}

/// The application properties in a record's headers: bytes as they are, texts as UTF-8, others as JSON has them.
#[must_use]
pub fn of_record(headers: &Bytes) -> Vec<(String, Bytes)> {
    let Some(headers) = Headers::decode(headers.clone()) else { return Vec::new() };
    let mut named = Vec::new();
    for section in sections(headers.properties).filter_map(Result::ok) {
        if section.kind != SectionKind::ApplicationProperties {
            continue;
        }
        let Ok(Value::Map(entries)) = section.value() else { continue };
        for (name, value) in entries {
            let name = name.text().map_or_else(|| rendering::json(&name).to_string(), str::to_owned);
            named.push((name, bytes(value)));
        }
    }
    named
}

fn bytes(value: Value) -> Bytes {
    match value {
        Value::Binary(bytes) => bytes,
        Value::Null => Bytes::new(),
        other => match other.text() {
            Some(text) => Bytes::copy_from_slice(text.as_bytes()),
            None => rendering::json(&other).to_string().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventhubs::record;

    #[test]
    fn application_properties_are_named_values() {
        let properties = [("text".to_owned(), Value::string("a")), ("number".to_owned(), Value::Int(7))];
        let entry = record::with_properties("body".into(), None, Vec::new(), &properties);
        let named = of_record(&entry.headers);
        assert_eq!(named, [("text".to_owned(), Bytes::from("a")), ("number".to_owned(), Bytes::from("7"))]);
        assert!(of_record(&Bytes::new()).is_empty());
    }

    #[test]
    fn named_values_are_application_properties_and_the_last_of_a_name_counts() {
        let named = vec![("a".into(), Some("1".into())), ("b".into(), None), ("a".into(), Some("2".into()))];
        let headers = of_message(&Properties { named, key: Some("k".into()), ..Properties::default() });
        assert_eq!(headers.annotation_items, 2);
        let section = sections(headers.properties).next().unwrap().unwrap();
        let expected = vec![(Value::string("b"), Value::Null), (Value::string("a"), Value::Binary("2".into()))];
        assert_eq!(
            (section.kind, section.value().unwrap()),
            (SectionKind::ApplicationProperties, Value::Map(expected))
        );
    }
}
