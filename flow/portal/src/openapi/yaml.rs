//! YAML to the same values that JSON has. Plain values are read by YAML's core schema; aliases are copied within bounds, so
//! a few lines cannot stand for gigabytes.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Map, Number, Value};

use crate::error::PortalError;

/// Values of one document, copies by aliases counted too.
const VALUES_MAX: usize = 200_000;

/// Bytes of the texts of one document, copies by aliases counted too.
const TEXTS_BYTES_MAX: usize = 4 << 20;

/// How deep values may lie in each other.
const DEPTH_MAX: usize = 100;

/// Reads one document.
pub(super) fn parse(text: &str) -> Result<Value, PortalError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        builder.take(event)?;
    }
    builder.whole.ok_or_else(|| wrong("it is empty"))
}

/// A sequence or mapping that is not complete, with the number of its anchor.
enum Open {
    Sequence(usize, Vec<Value>),
    Mapping(usize, Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Value>,
    counted: Counted,
    whole: Option<Value>,
}

impl Builder {
    fn take(&mut self, event: Result<(Event<'_>, Span), ScanError>) -> Result<(), PortalError> {
        let (event, _) = event.map_err(|error| wrong(&error.to_string()))?;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain { plain_value(&text) } else { Value::String(text.into_owned()) };
                self.complete(anchor, value)
            }
            Event::SequenceStart(anchor, _) => self.begin(Open::Sequence(anchor, Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(Open::Mapping(anchor, Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence(anchor, values)) => self.complete(anchor, Value::Array(values)),
                Some(Open::Mapping(anchor, fields, _)) => self.complete(anchor, Value::Object(fields)),
                None => Err(wrong("its brackets do not match")),
            },
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor);
                let value = value.ok_or_else(|| wrong("an alias stands for a value that it is part of"))?;
                // Counted before it is copied.
                self.counted.add(value)?;
                let copy = value.clone();
                self.place(copy)
            }
            Event::DocumentStart(_) if self.whole.is_some() => Err(wrong("it holds several documents")),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, open: Open) -> Result<(), PortalError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(wrong(&format!("its values lie deeper than {DEPTH_MAX} in each other")));
        }
        self.open.push(open);
        Ok(())
    }

    fn complete(&mut self, anchor: usize, value: Value) -> Result<(), PortalError> {
        self.counted.add_one(&value)?;
        if anchor > 0 {
            self.counted.add(&value)?;
            self.anchors.insert(anchor, value.clone());
        }
        self.place(value)
    }

    /// Puts a value where it belongs.
    fn place(&mut self, value: Value) -> Result<(), PortalError> {
        match self.open.last_mut() {
            None => self.whole = Some(value),
            Some(Open::Sequence(_, values)) => values.push(value),
            Some(Open::Mapping(_, fields, key)) => match key.take() {
                Some(key) => {
                    fields.insert(key, value);
                }
                None => *key = Some(name(value)?),
            },
        }
        Ok(())
    }
}

/// A mapping's key as JSON has it: `200:` is `"200":`.
fn name(value: Value) -> Result<String, PortalError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) | Value::Null => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => Err(wrong("a key of a mapping must be a text")),
    }
}

/// What a document holds so far.
#[derive(Default)]
struct Counted {
    values: usize,
    bytes: usize,
}

impl Counted {
    /// Adds a value with all that is in it.
    fn add(&mut self, value: &Value) -> Result<(), PortalError> {
        self.add_one(value)?;
        match value {
            Value::Array(values) => values.iter().try_for_each(|value| self.add(value)),
            Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
                self.bytes += name.len();
                self.add(value)
            }),
            _ => Ok(()),
        }
    }

    /// Adds a value alone.
    fn add_one(&mut self, value: &Value) -> Result<(), PortalError> {
        self.values += 1;
        self.bytes += value.as_str().map_or(0, str::len);
        if self.values > VALUES_MAX {
            return Err(wrong(&format!("it holds more than {VALUES_MAX} values")));
        }
        if self.bytes > TEXTS_BYTES_MAX {
            return Err(wrong(&format!("its texts have more than {TEXTS_BYTES_MAX} bytes")));
        }
        Ok(())
    }
}

/// What an unquoted text stands for.
fn plain_value(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric = digits.starts_with(|char: char| char.is_ascii_digit() || char == '.')
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !numeric {
        return Value::String(text.to_owned());
    }
    let whole = text.parse::<i64>().ok().map(Number::from);
    let number = whole.or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64));
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn wrong(reason: &str) -> PortalError {
    PortalError::Document { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_those_of_json() {
        let text = "a: 1\nb: [x, 2.5, true, ~, '3', \"q\\n\"]\nc:\n  200:\n    d: |\n      two\n      lines\ne: 1.2.3\nf: -7\n";
        let expected = json!({
            "a": 1, "b": ["x", 2.5, true, null, "3", "q\n"], "c": { "200": { "d": "two\nlines\n" } }, "e": "1.2.3", "f": -7,
        });
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(parse("a: &x {b: 1}\nc: *x\n").unwrap(), json!({ "a": { "b": 1 }, "c": { "b": 1 } }));
    }

    #[test]
    fn what_would_grow_without_end_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let copies = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{copies}]\n"));
        }
        assert!(parse(&bomb).unwrap_err().to_string().contains("more than 200000 values"));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(10_000), vec!["*a"; 1_000].join(", "));
        assert!(parse(&long).unwrap_err().to_string().contains("more than 4194304 bytes"));
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(parse(&deep).is_err());
        for text in ["", "a: &x [*x]", "a: b: c", "--- 1\n--- 2\n", "? [a]\n: b\n", "{a: 1", "a: 'b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
