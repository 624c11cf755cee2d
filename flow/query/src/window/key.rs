//! Group keys as bytes: equal values have equal bytes, and the bytes sort as the values do (null first), so that results come
//! in the same order whatever way the rows came in.
//!
//! A value is a tag and its bytes: integers and times with the sign bit turned round, floating point in total order, texts
//! with 0 escaped and ended by 0 0, values without a fixed type their JSON texts in one spelling. NULL is a value of its own;
//! 0.0 and -0.0 are the same.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder, Float64Builder,
    Int64Builder, LargeStringArray, LargeStringBuilder, StringArray, StringBuilder, TimestampMillisecondBuilder,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMillisecondType};

use crate::value::json;

const NULL: u8 = 0;
const VALUE: u8 = 1;
/// What ends a text.
const TEXT_END: [u8; 2] = [0, 0];

/// Turns rows of key columns into bytes, using its buffers again.
#[derive(Default)]
pub(crate) struct KeyEncoder {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// The keys of a batch.
pub(crate) struct EncodedKeys<'k> {
    bytes: &'k [u8],
    ends: &'k [usize],
}

impl EncodedKeys<'_> {
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row]]
    }
}

impl KeyEncoder {
    pub(crate) fn encode(&mut self, keys: &[ArrayRef], rows: usize) -> EncodedKeys<'_> {
        self.encode_columns(keys.iter().map(KeyColumn::of_many).collect(), rows)
    }

    /// The same so that exactly the values come back, as [`encode_exact`] adds them.
    pub(crate) fn encode_exact(&mut self, columns: &[ArrayRef], rows: usize) -> EncodedKeys<'_> {
        self.encode_columns(columns.iter().map(|column| KeyColumn::of_many(column).exact()).collect(), rows)
    }

    fn encode_columns(&mut self, columns: Vec<KeyColumn<'_>>, rows: usize) -> EncodedKeys<'_> {
        self.bytes.clear();
        self.ends.clear();
        if let [KeyColumn { values: KeyValues::Text(texts), nulls: None, escapes: false }] = columns.as_slice() {
            encode_texts(texts, rows, &mut self.bytes, &mut self.ends);
            return EncodedKeys { bytes: &self.bytes, ends: &self.ends };
        }
        for row in 0..rows {
            for column in &columns {
                column.encode(row, &mut self.bytes);
            }
            self.ends.push(self.bytes.len());
        }
        EncodedKeys { bytes: &self.bytes, ends: &self.ends }
    }
}

/// Adds rows of texts without zeros, which is what most keys are. A text is written by words, the last of them with what is behind
/// it; that is written over by what comes next.
fn encode_texts(texts: &StringArray, rows: usize, bytes: &mut Vec<u8>, ends: &mut Vec<usize>) {
    const WORD: usize = size_of::<u64>();
    let (data, offsets) = (texts.value_data(), texts.value_offsets());
    let Some((first, last)) = offsets.first().zip(offsets.get(rows)) else { return };
    bytes.resize((last - first) as usize + rows * (1 + TEXT_END.len()) + WORD, 0);
    let mut at = 0;
    for ends_of_text in offsets[..=rows].windows(2) {
        let (from, to) = (ends_of_text[0] as usize, ends_of_text[1] as usize);
        let text = &data[from..to];
        bytes[at] = VALUE;
        at += 1;
        if text.len() <= 2 * WORD && from + 2 * WORD <= data.len() {
            bytes[at..at + WORD].copy_from_slice(&data[from..from + WORD]);
            if text.len() > WORD {
                bytes[at + WORD..at + 2 * WORD].copy_from_slice(&data[from + WORD..from + 2 * WORD]);
            }
        } else {
            bytes[at..at + text.len()].copy_from_slice(text);
        }
        at += text.len();
        bytes[at..at + TEXT_END.len()].copy_from_slice(&TEXT_END);
        at += TEXT_END.len();
        ends.push(at);
    }
    bytes.truncate(at);
}

/// Adds a value's bytes.
pub(crate) fn encode_value(array: &ArrayRef, row: usize, bytes: &mut Vec<u8>) {
    KeyColumn::of(array).encode(row, bytes);
}

/// A column of which the type is found out once for all rows.
struct KeyColumn<'a> {
    values: KeyValues<'a>,
    nulls: Option<&'a NullBuffer>,
    /// Whether a text may hold zeros.
    escapes: bool,
}

enum KeyValues<'a> {
    Int(&'a [i64]),
    Float(&'a [f64]),
    ExactFloat(&'a [f64]),
    Boolean(&'a BooleanArray),
    Text(&'a StringArray),
    Json(&'a LargeStringArray),
    ExactJson(&'a LargeStringArray),
    /// Ranked values, which are no keys.
    Bytes(&'a BinaryArray),
    /// The planner makes no other types; such a column would be one group.
    Other,
}

impl<'a> KeyColumn<'a> {
    fn of(array: &'a ArrayRef) -> Self {
        let values = match array.data_type() {
            DataType::Int64 => KeyValues::Int(array.as_primitive::<Int64Type>().values()),
            DataType::Timestamp(..) => KeyValues::Int(array.as_primitive::<TimestampMillisecondType>().values()),
            DataType::Float64 => KeyValues::Float(array.as_primitive::<Float64Type>().values()),
            DataType::Boolean => KeyValues::Boolean(array.as_boolean()),
            DataType::Utf8 => KeyValues::Text(array.as_string::<i32>()),
            DataType::LargeUtf8 => KeyValues::Json(array.as_string::<i64>()),
            DataType::Binary => KeyValues::Bytes(array.as_binary::<i32>()),
            _ => KeyValues::Other,
        };
        Self { values, nulls: array.nulls(), escapes: true }
    }

    /// The same to encode all rows of: zeros are looked for once.
    fn of_many(array: &'a ArrayRef) -> Self {
        let column = Self::of(array);
        let escapes = match &column.values {
            KeyValues::Text(texts) => memchr::memchr(0, texts.value_data()).is_some(),
            _ => true,
        };
        Self { escapes, ..column }
    }

    /// The same so that exactly its values come back: -0.0 is not made 0.0, and a JSON text stays as it was written.
    fn exact(self) -> Self {
        let values = match self.values {
            KeyValues::Float(values) => KeyValues::ExactFloat(values),
            KeyValues::Json(values) => KeyValues::ExactJson(values),
            values => values,
        };
        Self { values, ..self }
    }

    #[inline]
    fn encode(&self, row: usize, bytes: &mut Vec<u8>) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            bytes.push(NULL);
            return;
        }
        bytes.push(VALUE);
        match &self.values {
            KeyValues::Int(values) => bytes.extend_from_slice(&ordered_int(values[row])),
            KeyValues::Float(values) => bytes.extend_from_slice(&ordered_float(values[row])),
            KeyValues::ExactFloat(values) => bytes.extend_from_slice(&ordered_bits(values[row].to_bits())),
            KeyValues::Boolean(values) => bytes.push(u8::from(values.value(row))),
            KeyValues::Text(values) if !self.escapes => {
                bytes.extend_from_slice(values.value(row).as_bytes());
                bytes.extend_from_slice(&TEXT_END);
            }
            KeyValues::Text(values) => ordered_text(values.value(row), bytes),
            // Equal values are one group however they are written.
            KeyValues::Json(values) => ordered_text(&json::canonical(values.value(row)), bytes),
            KeyValues::ExactJson(values) => ordered_text(values.value(row), bytes),
            KeyValues::Bytes(values) => {
                bytes.extend_from_slice(&(values.value(row).len() as u64).to_be_bytes());
                bytes.extend_from_slice(values.value(row));
            }
            KeyValues::Other => {}
        }
    }
}

/// Adds a value's bytes so that exactly it comes back.
pub(crate) fn encode_exact(array: &ArrayRef, row: usize, bytes: &mut Vec<u8>) {
    KeyColumn::of(array).exact().encode(row, bytes);
}

/// The bytes of a number or time whose word is this, see [`ordered_words`].
pub(crate) fn word_bytes(word: u64) -> [u8; 9] {
    let mut bytes = [VALUE; 9];
    bytes[1..].copy_from_slice(&word.to_be_bytes());
    bytes
}

/// The word of such bytes.
pub(crate) fn word_of(bytes: &[u8]) -> Option<u64> {
    let (tag, word) = bytes.split_first()?;
    (*tag == VALUE).then_some(u64::from_be_bytes(word.try_into().ok()?))
}

/// Whether values of a type are numbers or times, which have words that sort as they do.
pub(crate) fn has_words(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Float64 | DataType::Timestamp(..))
}

/// A column's numbers or times as words; those of missing values say nothing.
pub(crate) fn ordered_words(array: &ArrayRef) -> Vec<u64> {
    match KeyColumn::of(array).values {
        KeyValues::Int(values) => values.iter().map(|&value| u64::from_be_bytes(ordered_int(value))).collect(),
        KeyValues::Float(values) => values.iter().map(|&value| u64::from_be_bytes(ordered_float(value))).collect(),
        _ => Vec::new(),
    }
}

fn ordered_int(value: i64) -> [u8; 8] {
    (value.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

pub(super) fn int(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

fn ordered_float(value: f64) -> [u8; 8] {
    ordered_bits(if value == 0.0 { 0 } else { value.to_bits() })
}

fn ordered_bits(bits: u64) -> [u8; 8] {
    let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    ordered.to_be_bytes()
}

pub(super) fn float(bytes: [u8; 8]) -> f64 {
    let ordered = u64::from_be_bytes(bytes);
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

fn ordered_text(value: &str, bytes: &mut Vec<u8>) {
    match memchr::memchr(0, value.as_bytes()) {
        None => bytes.extend_from_slice(value.as_bytes()),
        Some(_) => value
            .bytes()
            .for_each(|byte| bytes.extend_from_slice(if byte == 0 { &[0, 1] } else { std::slice::from_ref(&byte) })),
    }
    bytes.extend_from_slice(&TEXT_END);
}

/// Keys back as columns.
pub(crate) fn decode<'k>(keys: impl Iterator<Item = &'k [u8]>, types: &[DataType]) -> Vec<ArrayRef> {
    let mut builders: Vec<Builder> = types.iter().map(Builder::new).collect();
    for mut key in keys {
        for builder in &mut builders {
            builder.take(&mut key);
        }
    }
    builders.into_iter().map(Builder::finish).collect()
}

/// A column that is decoded. Bytes that nobody here wrote become null, never a panic.
pub(crate) enum Builder {
    Int(Int64Builder),
    Time(TimestampMillisecondBuilder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Text(StringBuilder),
    Json(LargeStringBuilder),
    /// Ranked values, which are no keys.
    Bytes(BinaryBuilder),
}

impl Builder {
    pub(crate) fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Int64 => Self::Int(Int64Builder::new()),
            DataType::Timestamp(..) => Self::Time(TimestampMillisecondBuilder::new()),
            DataType::Float64 => Self::Float(Float64Builder::new()),
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::LargeUtf8 => Self::Json(LargeStringBuilder::new()),
            DataType::Binary => Self::Bytes(BinaryBuilder::new()),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// Takes one value off the front of a key.
    pub(crate) fn take(&mut self, key: &mut &[u8]) {
        let there = take::<1>(key) == Some([VALUE]);
        match self {
            Self::Int(builder) => builder.append_option(there.then(|| take(key)).flatten().map(int)),
            Self::Time(builder) => builder.append_option(there.then(|| take(key)).flatten().map(int)),
            Self::Float(builder) => builder.append_option(there.then(|| take(key)).flatten().map(float)),
            Self::Boolean(builder) => builder.append_option(there.then(|| take(key)).flatten().map(|[byte]| byte == 1)),
            Self::Text(builder) => builder.append_option(there.then(|| take_text(key))),
            Self::Json(builder) => builder.append_option(there.then(|| take_text(key))),
            Self::Bytes(builder) => builder.append_option(there.then(|| take_bytes(key))),
        }
    }

    pub(crate) fn finish(self) -> ArrayRef {
        match self {
            Self::Int(mut builder) => Arc::new(builder.finish()),
            Self::Time(mut builder) => Arc::new(builder.finish()),
            Self::Float(mut builder) => Arc::new(builder.finish()),
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Json(mut builder) => Arc::new(builder.finish()),
            Self::Bytes(mut builder) => Arc::new(builder.finish()),
        }
    }
}

/// The bytes of a key's first values, which are of these types.
pub(crate) fn prefix<'k>(key: &'k [u8], types: &[DataType]) -> &'k [u8] {
    let mut rest = key;
    for data_type in types {
        if take::<1>(&mut rest) != Some([VALUE]) {
            continue;
        }
        match data_type {
            DataType::Int64 | DataType::Timestamp(..) | DataType::Float64 => {
                take::<8>(&mut rest);
            }
            DataType::Boolean => {
                take::<1>(&mut rest);
            }
            DataType::Utf8 | DataType::LargeUtf8 => skip_text(&mut rest),
            // Such a value has no bytes.
            _ => {}
        }
    }
    &key[..key.len() - rest.len()]
}

/// Goes on behind a text: behind the first 0 that is not followed by a 1.
fn skip_text(key: &mut &[u8]) {
    while let Some(zero) = memchr::memchr(0, key) {
        let escaped = key.get(zero + 1) == Some(&1);
        *key = key.get(zero + 2..).unwrap_or_default();
        if !escaped {
            return;
        }
    }
    *key = &[];
}

/// Bytes behind their length.
fn take_bytes<'k>(key: &mut &'k [u8]) -> &'k [u8] {
    let length = take(key).map_or(0, |length| u64::from_be_bytes(length) as usize);
    let (taken, rest) = key.split_at_checked(length).unwrap_or((key, &[]));
    *key = rest;
    taken
}

fn take<const N: usize>(key: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = key.split_first_chunk::<N>()?;
    *key = rest;
    Some(*taken)
}

fn take_text<'k>(key: &mut &'k [u8]) -> Cow<'k, str> {
    let start = *key;
    skip_text(key);
    let text = &start[..start.len() - key.len()];
    let text = text.strip_suffix(&TEXT_END).unwrap_or(text);
    if memchr::memchr(0, text).is_none() {
        return std::str::from_utf8(text).map_or(Cow::Borrowed(""), Cow::Borrowed);
    }
    let (mut unescaped, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, behind)) = rest.split_first() {
        unescaped.push(byte);
        // Behind each zero is what says that it does not end the text.
        rest = if byte == 0 { behind.get(1..).unwrap_or_default() } else { behind };
    }
    Cow::Owned(String::from_utf8(unescaped).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};

    use super::*;

    #[test]
    fn equal_values_without_a_type_are_one_key() {
        let values = arrow::array::LargeStringArray::from(vec!["5", "5.0", "\"5\"", "\"\\u0035\""]);
        let mut encoder = KeyEncoder::default();
        let keys = encoder.encode(&[Arc::new(values) as ArrayRef], 4);
        assert_eq!((keys.row(0), keys.row(2)), (keys.row(1), keys.row(3)));
        assert_ne!(keys.row(0), keys.row(2));
        let back = decode([keys.row(1), keys.row(3)].into_iter(), &[DataType::LargeUtf8]);
        assert_eq!(back[0].as_string::<i64>().iter().collect::<Vec<_>>(), [Some("5"), Some("\"5\"")]);
    }

    #[test]
    fn keys_come_back_and_sort_as_their_values() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![None, Some(i64::MIN), Some(-1), Some(0), Some(7), Some(i64::MAX)])),
            Arc::new(Float64Array::from(vec![
                None,
                Some(-1e300),
                Some(-0.5),
                Some(0.0),
                Some(1.5),
                Some(f64::INFINITY),
            ])),
            Arc::new(StringArray::from(vec![None, Some(""), Some("\0"), Some("\0a"), Some("a"), Some("aa")])),
        ];
        for column in &columns {
            let mut encoder = KeyEncoder::default();
            let keys = encoder.encode(std::slice::from_ref(column), column.len());
            let rows: Vec<&[u8]> = (0..column.len()).map(|row| keys.row(row)).collect();
            assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "{column:?}");
            assert_eq!(&decode(rows.into_iter(), &[column.data_type().clone()])[0], column);
        }
        let mut encoder = KeyEncoder::default();
        let keys = encoder.encode(&columns, 6);
        let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
        assert_eq!(decode((0..6).map(|row| keys.row(row)), &types), columns);
        for row in 0..6 {
            let (key, mut expected) = (keys.row(row), Vec::new());
            for (count, column) in columns.iter().enumerate() {
                assert_eq!(prefix(key, &types[..count]), expected, "{count} values of row {row}");
                encode_value(column, row, &mut expected);
            }
            assert_eq!(prefix(key, &types), key);
        }
    }
}
