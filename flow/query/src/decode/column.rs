//! Values of one column while a batch is read. Rows can be taken back, since a record may turn out to be broken at its end.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, StringArray, TimestampMillisecondArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;

use crate::plan::Fit;
use crate::value::json;

/// Bytes of texts that room is made for before they come.
const TEXT_ROOM_MAX: usize = 1 << 16;

/// A column's values and which of them are there.
pub(super) struct Column {
    rows: usize,
    /// By row whether its value is there; empty while all are.
    valid: Vec<bool>,
    pub(super) values: Values,
    pub(super) fit: Fit,
}

pub(super) enum Values {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Boolean(Vec<bool>),
    Time(Vec<i64>),
    Text {
        ends: Vec<i32>,
        bytes: Vec<u8>,
    },
    /// JSON texts of values of any kind.
    Json {
        ends: Vec<i64>,
        bytes: Vec<u8>,
    },
}

/// A value as a format has it.
pub(super) enum Value<'v> {
    Null,
    Int(i64),
    Float(f64),
    Boolean(bool),
    Text(&'v str),
    /// A number, object or array, or in a column of JSON texts any value, as it is written.
    Raw(&'v str),
}

impl Column {
    pub(super) fn new(data_type: &DataType, fit: Fit) -> Self {
        let values = match data_type {
            DataType::Int64 => Values::Int(Vec::new()),
            DataType::Float64 => Values::Float(Vec::new()),
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Timestamp(..) => Values::Time(Vec::new()),
            DataType::LargeUtf8 => Values::Json { ends: Vec::new(), bytes: Vec::new() },
            _ => Values::Text { ends: Vec::new(), bytes: Vec::new() },
        };
        Self { rows: 0, valid: Vec::new(), values, fit }
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Makes room for rows, each of which may be a text of some bytes.
    pub(super) fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Int(values) | Values::Time(values) => values.reserve(rows),
            Values::Float(values) => values.reserve(rows),
            Values::Boolean(values) => values.reserve(rows),
            Values::Text { ends, .. } => ends.reserve(rows),
            Values::Json { ends, .. } => ends.reserve(rows),
        }
    }

    /// Counts a value that was added.
    #[inline]
    pub(super) fn note_valid(&mut self) {
        self.rows += 1;
        if !self.valid.is_empty() {
            self.valid.push(true);
        }
    }

    /// Adds a value, converted to the column's type.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub(super) fn push(&mut self, value: &Value<'_>) -> Result<(), String> {
        if matches!(value, Value::Null | Value::Raw("null")) {
            self.push_null();
            return Ok(());
        }
        if let Some(wanted) = self.misfit(value) {
            return Err(expected(wanted, &value.shown()));
        }
        match (&mut self.values, value) {
            (Values::Int(values), Value::Int(int)) => values.push(*int),
            (Values::Float(values), Value::Float(float)) => values.push(*float),
            (Values::Float(values), Value::Int(int)) => values.push(*int as f64),
            (Values::Boolean(values), Value::Boolean(boolean)) => values.push(*boolean),
            (Values::Time(values), Value::Text(text)) => {
                values.push(
                    super::timestamp::parse(text)
                        .ok_or_else(|| expected("a time such as 2026-11-21T04:05:06Z", text))?,
                );
            }
            (Values::Text { ends, bytes }, Value::Text(text) | Value::Raw(text)) => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(end(bytes.len())?);
            }
            (Values::Text { ends, bytes }, Value::Boolean(boolean)) => {
                bytes.extend_from_slice(if *boolean { b"true" } else { b"false" });
                ends.push(end(bytes.len())?);
            }
            (Values::Json { ends, bytes }, value) => {
                push_json(bytes, value)?;
                ends.push(bytes.len() as i64);
            }
            (values, value) => return Err(expected(values.name(), &value.shown())),
        }
        self.note_valid();
        Ok(())
    }

    /// What is expected in the place of a value that is of another type than the query declares.
    fn misfit(&self, value: &Value<'_>) -> Option<&'static str> {
        let begins = |with| matches!(value, Value::Raw(json) if json.starts_with(with));
        match (self.fit, &self.values) {
            (Fit::Exact, Values::Text { .. }) if !matches!(value, Value::Text(_)) => Some("a text"),
            (Fit::Record, _) if !begins('{') => Some("a record"),
            (Fit::Array, _) if !begins('[') => Some("an array"),
            _ => None,
        }
    }

    /// Whether values are kept as text, so that numbers are wanted as they are written.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text { .. })
    }

    /// Whether values are kept as the JSON texts that they are.
    pub(super) fn is_json(&self) -> bool {
        matches!(self.values, Values::Json { .. })
    }

    pub(super) fn push_null(&mut self) {
        self.valid.resize(self.rows, true);
        self.valid.push(false);
        self.rows += 1;
        match &mut self.values {
            Values::Int(values) | Values::Time(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Boolean(values) => values.push(false),
            Values::Text { ends, bytes } => ends.push(end(bytes.len()).unwrap_or(i32::MAX)),
            Values::Json { ends, bytes } => ends.push(bytes.len() as i64),
        }
    }

    /// What a row's value takes.
    pub(super) fn bytes_of(&self, row: usize) -> usize {
        let before = row.checked_sub(1);
        match &self.values {
            Values::Text { ends, .. } => (ends[row] - before.map_or(0, |before| ends[before])) as usize,
            Values::Json { ends, .. } => (ends[row] - before.map_or(0, |before| ends[before])) as usize,
            _ => size_of::<i64>(),
        }
    }

    /// Adds the value of a row of another column of the same type.
    ///
    /// # Errors
    /// When the texts are too long together.
    pub(super) fn push_from(&mut self, other: &Self, row: usize) -> Result<(), String> {
        if other.valid.get(row) == Some(&false) {
            self.push_null();
            return Ok(());
        }
        let start =
            |ends: &[i32]| row.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| *end as usize);
        match (&mut self.values, &other.values) {
            (Values::Int(to), Values::Int(of)) | (Values::Time(to), Values::Time(of)) => to.push(of[row]),
            (Values::Float(to), Values::Float(of)) => to.push(of[row]),
            (Values::Boolean(to), Values::Boolean(of)) => to.push(of[row]),
            (Values::Text { ends, bytes }, Values::Text { ends: of_ends, bytes: of }) => {
                bytes.extend_from_slice(&of[start(of_ends)..of_ends[row] as usize]);
                ends.push(end(bytes.len())?);
            }
            (Values::Json { ends, bytes }, Values::Json { ends: of_ends, bytes: of }) => {
                let start = row.checked_sub(1).map_or(0, |before| of_ends[before] as usize);
                bytes.extend_from_slice(&of[start..of_ends[row] as usize]);
                ends.push(bytes.len() as i64);
            }
            // Both are of one type.
            _ => {
                self.push_null();
                return Ok(());
            }
        }
        self.note_valid();
        Ok(())
    }

    /// Takes back all rows but the first `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.valid.truncate(rows);
        match &mut self.values {
            Values::Int(values) | Values::Time(values) => values.truncate(rows),
            Values::Float(values) => values.truncate(rows),
            Values::Boolean(values) => values.truncate(rows),
            Values::Text { ends, bytes } => {
                ends.truncate(rows);
                bytes.truncate(ends.last().map_or(0, |end| end.cast_unsigned() as usize));
            }
            Values::Json { ends, bytes } => {
                ends.truncate(rows);
                bytes.truncate(ends.last().map_or(0, |end| end.cast_unsigned() as usize));
            }
        }
    }

    /// The rows as an array; the column is empty then.
    pub(super) fn finish(&mut self) -> ArrayRef {
        self.rows = 0;
        let valid = std::mem::take(&mut self.valid);
        let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
        match &mut self.values {
            Values::Int(values) => Arc::new(Int64Array::new(std::mem::take(values).into(), nulls)),
            Values::Float(values) => Arc::new(Float64Array::new(std::mem::take(values).into(), nulls)),
            Values::Time(values) => Arc::new(TimestampMillisecondArray::new(std::mem::take(values).into(), nulls)),
            Values::Boolean(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(std::mem::take(values)), nulls)),
            Values::Text { ends, bytes } => {
                let mut offsets = Vec::with_capacity(ends.len() + 1);
                offsets.push(0);
                offsets.append(ends);
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                let bytes = Buffer::from_vec(taken(bytes));
                // Every piece was a `str` when it was pushed, and pieces are cut at their own ends; the check is one pass.
                Arc::new(StringArray::new(offsets, bytes, nulls))
            }
            Values::Json { ends, bytes } => {
                let mut offsets = Vec::with_capacity(ends.len() + 1);
                offsets.push(0);
                offsets.append(ends);
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(LargeStringArray::new(offsets, Buffer::from_vec(taken(bytes)), nulls))
            }
        }
    }
}

impl Values {
    fn name(&self) -> &'static str {
        match self {
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Time(_) => "a time",
            Self::Text { .. } => "a text",
            Self::Json { .. } => "a value of JSON",
        }
    }
}

impl Value<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Int(int) => int.to_string(),
            Self::Float(float) => float.to_string(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Text(text) => format!("\"{text}\""),
            Self::Raw(text) => (*text).to_owned(),
        }
    }
}

/// Takes what was collected and makes room for as much again: batches are like those before.
fn taken(bytes: &mut Vec<u8>) -> Vec<u8> {
    let room = Vec::with_capacity(bytes.len().min(TEXT_ROOM_MAX));
    std::mem::replace(bytes, room)
}

/// Adds a value's JSON text, on one line.
fn push_json(bytes: &mut Vec<u8>, value: &Value<'_>) -> Result<(), String> {
    let written = match value {
        Value::Raw(text) => {
            bytes.extend_from_slice(json::one_line(text).as_bytes());
            return Ok(());
        }
        Value::Null => return Err("null has no text".to_owned()),
        Value::Int(int) => serde_json::to_writer(&mut *bytes, int),
        Value::Float(float) if !float.is_finite() => return Err(expected("a number", &float.to_string())),
        Value::Float(float) => serde_json::to_writer(&mut *bytes, float),
        Value::Boolean(boolean) => serde_json::to_writer(&mut *bytes, boolean),
        Value::Text(text) => serde_json::to_writer(&mut *bytes, text),
    };
    written.map_err(|error| error.to_string())
}

pub(super) fn end(bytes: usize) -> Result<i32, String> {
    i32::try_from(bytes).map_err(|_| "the texts of one batch are over 2 GiB".to_owned())
}

fn expected(what: &str, found: &str) -> String {
    let shown: String = found.chars().take(100).collect();
    format!("expected {what}, found {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray as _;

    #[test]
    fn values_are_kept_as_they_are_written() {
        let mut column = Column::new(&DataType::LargeUtf8, Fit::Converted);
        let raw = r#"{ "a":[1.50,12345678901234567890123], "b":"\u00e4 \n"}"#;
        for value in [
            Value::Raw(raw),
            Value::Raw("[1,\r\n 2]"),
            Value::Null,
            Value::Text("a\"b"),
            Value::Int(7),
            Value::Boolean(true),
        ] {
            column.push(&value).unwrap();
        }
        column.truncate(5);
        let found = column.finish();
        let found: Vec<Option<&str>> = found.as_string::<i64>().iter().collect();
        assert_eq!(found, [Some(raw), Some("[1,   2]"), None, Some(r#""a\"b""#), Some("7")]);
    }

    #[test]
    fn declared_types_are_kept_to() {
        for (data_type, fit, value, fits) in [
            (DataType::Utf8, Fit::Converted, Value::Int(1), false),
            (DataType::Utf8, Fit::Converted, Value::Raw("1"), true),
            (DataType::Utf8, Fit::Exact, Value::Raw("1"), false),
            (DataType::Utf8, Fit::Exact, Value::Text("1"), true),
            (DataType::Float64, Fit::Exact, Value::Int(1), true),
            (DataType::LargeUtf8, Fit::Record, Value::Raw("{}"), true),
            (DataType::LargeUtf8, Fit::Record, Value::Raw("[]"), false),
            (DataType::LargeUtf8, Fit::Array, Value::Raw("[]"), true),
            (DataType::LargeUtf8, Fit::Array, Value::Text("[]"), false),
            (DataType::LargeUtf8, Fit::Array, Value::Null, true),
        ] {
            assert_eq!(
                Column::new(&data_type, fit).push(&value).is_ok(),
                fits,
                "{data_type} {fit:?} {}",
                value.shown()
            );
        }
    }
}
