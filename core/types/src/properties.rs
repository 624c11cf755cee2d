//! What a producer said of a record besides its partition key and its data, in a form that no protocol owns: a time, a key
//! that is no text, whether there is data at all, named values. Kept as the record's headers.
//!
//! The form is `2` (1 begins the form of messages with sections), a byte of flags, then as far as the flags say so the time
//! (64 bits, big-endian) and the key behind its length; then until the end name and value by turns, each behind its length.
//! A value's length is one more than its bytes, 0 for none. Lengths are 32 bits, big-endian.

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::time::Millis;

const FORM: u8 = 2;
const HAS_TIME: u8 = 1;
const HAS_KEY: u8 = 2;
const NO_DATA: u8 = 4;
const TEXT: u8 = 8;

/// A record's properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// The producer's own time of the record.
    pub time: Option<Millis>,
    /// The key when it cannot stand as the partition key: it is no text, or empty.
    pub key: Option<Bytes>,
    /// Whether there is no data, which is something else than empty data: what has the key is gone.
    pub no_data: bool,
    /// Whether the values are text; otherwise they are bytes.
    pub text: bool,
    /// Names (text) and values in their order; a name may be there more than once.
    pub named: Vec<(Bytes, Option<Bytes>)>,
}

impl Properties {
    /// Whether headers are of this form.
    #[must_use]
    pub fn are_in(headers: &[u8]) -> bool {
        headers.first() == Some(&FORM)
    }

    /// Writes them as a record's headers; nothing when there is nothing to say.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if *self == Self::default() {
            return;
        }
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        out.put_u8(FORM);
        out.put_u8(
            flag(self.time.is_some(), HAS_TIME)
                | flag(self.key.is_some(), HAS_KEY)
                | flag(self.no_data, NO_DATA)
                | flag(self.text, TEXT),
        );
        if let Some(time) = self.time {
            out.put_i64(time);
        }
        if let Some(key) = &self.key {
            out.put_u32(key.len() as u32);
            out.put_slice(key);
        }
        for (name, value) in &self.named {
            out.put_u32(name.len() as u32);
            out.put_slice(name);
            out.put_u32(value.as_ref().map_or(0, |value| value.len() as u32 + 1));
            out.put_slice(value.as_deref().unwrap_or_default());
        }
    }

    /// Reads a record's headers, sharing their bytes; `None` when they are of another form.
    #[must_use]
    pub fn decode(headers: &Bytes) -> Option<Self> {
        let view = PropertiesView::read(headers)?;
        let share = |bytes: &[u8]| headers.slice_ref(bytes);
        Some(Self {
            time: view.time,
            key: view.key.map(share),
            no_data: view.no_data,
            text: view.text,
            named: view.named().map(|(name, value)| (share(name), value.map(share))).collect(),
        })
    }
}

/// A record's properties as a borrowed look into its headers: what hot loops use.
#[derive(Debug, Clone, Copy)]
pub struct PropertiesView<'a> {
    /// See [`Properties::time`].
    pub time: Option<Millis>,
    /// See [`Properties::key`].
    pub key: Option<&'a [u8]>,
    /// See [`Properties::no_data`].
    pub no_data: bool,
    /// See [`Properties::text`].
    pub text: bool,
    /// Names and values, whole ones.
    named: &'a [u8],
}

impl<'a> PropertiesView<'a> {
    /// Looks into a record's headers; `None` when they are of another form.
    #[must_use]
    pub fn read(mut headers: &'a [u8]) -> Option<Self> {
        if headers.try_get_u8().ok()? != FORM {
            return None;
        }
        let flags = headers.try_get_u8().ok()?;
        let time = if flags & HAS_TIME != 0 { Some(headers.try_get_i64().ok()?) } else { None };
        let key = if flags & HAS_KEY != 0 { Some(sized(&mut headers, 0)?) } else { None };
        let named = headers;
        while !headers.is_empty() {
            named_value(&mut headers)?;
        }
        Some(Self { time, key, no_data: flags & NO_DATA != 0, text: flags & TEXT != 0, named })
    }

    /// See [`Properties::named`].
    pub fn named(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone + use<'a> {
        let mut rest = self.named;
        std::iter::from_fn(move || named_value(&mut rest))
    }
}

fn named_value<'a>(bytes: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let name = sized(bytes, 0)?;
    if bytes.starts_with(&[0; 4]) {
        bytes.advance(4);
        return Some((name, None));
    }
    Some((name, Some(sized(bytes, 1)?)))
}

/// Bytes behind a length that is `more` than they are.
fn sized<'a>(bytes: &mut &'a [u8], more: u32) -> Option<&'a [u8]> {
    let length = bytes.try_get_u32().ok()?.checked_sub(more)? as usize;
    bytes.split_off(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(properties: &Properties) -> Bytes {
        let mut out = Vec::new();
        properties.encode(&mut out);
        out.into()
    }

    #[test]
    fn what_was_said_comes_back() {
        let all = Properties {
            time: Some(-5),
            key: Some(Bytes::from_static(&[0xff])),
            no_data: true,
            text: true,
            named: vec![("a".into(), Some("1".into())), ("a".into(), None), ("b".into(), Some(Bytes::new()))],
        };
        for properties in [all, Properties { key: Some(Bytes::new()), ..Properties::default() }] {
            assert!(Properties::are_in(&encoded(&properties)));
            assert_eq!(Properties::decode(&encoded(&properties)), Some(properties));
        }
        assert!(encoded(&Properties::default()).is_empty());
    }

    #[test]
    fn other_bytes_are_none() {
        let whole = encoded(&Properties { time: Some(1), named: vec![("a".into(), None)], ..Properties::default() });
        for cut in (0..whole.len()).filter(|&cut| cut != 10) {
            assert_eq!(Properties::decode(&whole.slice(..cut)), None, "{cut}");
        }
        assert_eq!(Properties::decode(&Bytes::from_static(&[1, 0])), None);
    }
}
