//! A message's sections (part 3.2): found and handed on as they are; only who needs one decodes it.

use bytes::{Bytes, BytesMut};

use crate::codec::Value;
use crate::codec::decode::{self, Reader};
use crate::codec::encode::{put_ulong, put_value};
use crate::codec::performative::descriptor;
use crate::error::DecodeError;

/// What a section is; the order is the one they have in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // The names are the standard's own.
pub enum SectionKind {
    Header,
    DeliveryAnnotations,
    MessageAnnotations,
    Properties,
    ApplicationProperties,
    Data,
    AmqpSequence,
    AmqpValue,
    Footer,
}

impl SectionKind {
    const ALL: [Self; 9] = [
        Self::Header,
        Self::DeliveryAnnotations,
        Self::MessageAnnotations,
        Self::Properties,
        Self::ApplicationProperties,
        Self::Data,
        Self::AmqpSequence,
        Self::AmqpValue,
        Self::Footer,
    ];

    fn code(self) -> u64 {
        0x70 + self as u64
    }

    /// Whether it is part of the body.
    #[must_use]
    pub fn is_body(self) -> bool {
        matches!(self, Self::Data | Self::AmqpSequence | Self::AmqpValue)
    }
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it is.
    pub kind: SectionKind,
    /// All of it, descriptor and value.
    pub raw: Bytes,
    /// Its value, encoded.
    pub content: Bytes,
}

impl Section {
    /// Its value.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn value(&self) -> Result<Value, DecodeError> {
        Reader::new(self.content.clone()).value()
    }
}

/// The sections of a message, up to the first that is none.
pub fn sections(message: Bytes) -> impl Iterator<Item = Result<Section, DecodeError>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let section = take(&mut rest);
        if section.is_err() {
            rest.clear();
        }
        Some(section)
    })
}

fn take(rest: &mut Bytes) -> Result<Section, DecodeError> {
    let raw = rest.split_to(decode::length(rest)?);
    let mut reader = Reader::new(raw.clone());
    let code = descriptor(&mut reader, "a section of a message")?;
    let kind = SectionKind::ALL
        .into_iter()
        .find(|kind| kind.code() == code)
        .ok_or_else(|| DecodeError::Descriptor { expected: "a section of a message", found: format!("0x{code:x}") })?;
    Ok(Section { kind, content: reader.rest().clone(), raw })
}

/// Writes a section.
pub fn put_section(out: &mut BytesMut, kind: SectionKind, value: &Value) {
    put_section_head(out, kind);
    put_value(out, value);
}

/// Writes what stands before a section's value.
pub fn put_section_head(out: &mut BytesMut, kind: SectionKind) {
    out.extend_from_slice(&[0]);
    put_ulong(out, kind.code());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sections_are_found_with_their_values() {
        let mut message = BytesMut::new();
        put_section(&mut message, SectionKind::Properties, &Value::List(vec![Value::string("id")]));
        put_section(&mut message, SectionKind::Data, &Value::Binary(Bytes::from_static(b"body")));
        let found: Vec<Section> = sections(message.freeze()).collect::<Result<_, _>>().unwrap();
        assert_eq!(
            found.iter().map(|section| section.kind).collect::<Vec<_>>(),
            [SectionKind::Properties, SectionKind::Data]
        );
        assert_eq!(found[1].value(), Ok(Value::Binary(Bytes::from_static(b"body"))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_sections_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let length = bytes.len();
            prop_assert!(sections(bytes.into()).count() <= length);
        }
    }
}
