//! Walking JSON texts that are known to be valid: what a value is, what is in it. Nothing is built and nothing recurses.

use std::borrow::Cow;

/// A value as its text has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'j> {
    Null,
    Boolean(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'j, str>),
    /// The whole text, with its brackets.
    Array(&'j str),
    /// The whole text, with its braces.
    Record(&'j str),
}

impl<'j> Value<'j> {
    /// What a text says.
    pub(crate) fn of(json: &'j str) -> Self {
        let json = json.trim();
        match json.as_bytes().first() {
            Some(b'{') => Self::Record(json),
            Some(b'[') => Self::Array(json),
            Some(b'"') => Self::Text(text(json)),
            Some(b't') => Self::Boolean(true),
            Some(b'f') => Self::Boolean(false),
            Some(b'-' | b'0'..=b'9') => number(json),
            _ => Self::Null,
        }
    }

    /// The type's name in the language.
    pub(crate) fn type_name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean(_) => "bit",
            Self::Int(_) => "bigint",
            Self::Float(_) => "float",
            Self::Text(_) => "nvarchar(max)",
            Self::Array(_) => "array",
            Self::Record(_) => "record",
        })
    }
}

/// An integer if it is one and fits 64 bits; numbers beyond what floating point holds are its infinities.
fn number(json: &str) -> Value<'static> {
    match lexical_core::parse::<i64>(json.as_bytes()) {
        Ok(int) => Value::Int(int),
        Err(_) => lexical_core::parse(json.as_bytes()).map_or(Value::Null, Value::Float),
    }
}

/// What stands between the quotes; only a text with escapes is copied.
fn text(json: &str) -> Cow<'_, str> {
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Cow::Borrowed(inner),
        Some(_) => Cow::Owned(serde_json::from_str(json).unwrap_or_default()),
    }
}

/// The elements of an array, each as its text; of anything else, none.
pub(crate) fn elements(json: &str) -> impl Iterator<Item = &str> {
    let mut walk = Walk::into_value(json, b'[');
    std::iter::from_fn(move || walk.element())
}

/// The names and values of a record, in the order in which they stand; of anything else, none.
pub(crate) fn members(json: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    let mut walk = Walk::into_value(json, b'{');
    std::iter::from_fn(move || {
        let name = walk.element()?;
        let value = walk.element()?;
        Some((text(name), value))
    })
}

/// A record's value of a name, whose case does not count unless another name is the very same.
pub(crate) fn member<'j>(json: &'j str, name: &str) -> Option<&'j str> {
    let mut found = None;
    for (known, value) in members(json) {
        if known == name {
            return Some(value);
        }
        let same =
            known.eq_ignore_ascii_case(name) || (!name.is_ascii() && known.to_lowercase() == name.to_lowercase());
        if found.is_none() && same {
            found = Some(value);
        }
    }
    found
}

/// The same text for values that are equal: numbers by their value, texts without needless escapes. Records and arrays are
/// taken as they are written.
pub(crate) fn canonical(json: &str) -> Cow<'_, str> {
    match Value::of(json) {
        Value::Text(Cow::Owned(text)) => Cow::Owned(quoted(&text)),
        Value::Float(float) if float.fract() == 0.0 && (-BEYOND_INTEGERS..BEYOND_INTEGERS).contains(&float) => {
            Cow::Owned(itoa::Buffer::new().format(float as i64).to_owned())
        }
        Value::Float(float) if float.is_finite() => Cow::Owned(serde_json::Value::from(float).to_string()),
        Value::Int(0) => Cow::Borrowed("0"),
        _ => Cow::Borrowed(json),
    }
}

/// A value's text on one line: breaks of lines stand only between the parts of a value, so they can be blanks.
pub(crate) fn one_line(json: &str) -> Cow<'_, str> {
    match memchr::memchr2(b'\n', b'\r', json.as_bytes()) {
        None => Cow::Borrowed(json),
        Some(_) => Cow::Owned(json.replace(['\n', '\r'], " ")),
    }
}

/// 2^63: the first number beyond the integers.
pub(super) const BEYOND_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

/// A text as JSON has it.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A way through the inside of an array or a record.
struct Walk<'j> {
    rest: &'j str,
}

impl<'j> Walk<'j> {
    fn into_value(json: &'j str, opening: u8) -> Self {
        let json = json.trim_start();
        let opens = json.as_bytes().first() == Some(&opening);
        Self { rest: if opens { &json[1..] } else { "" } }
    }

    /// The next value's text, behind a comma or a colon if there is one.
    fn element(&mut self) -> Option<&'j str> {
        let rest = self.rest.trim_start_matches([' ', '\t', ',', ':', '\n', '\r']);
        if matches!(rest.as_bytes().first(), None | Some(b']' | b'}')) {
            self.rest = "";
            return None;
        }
        let end = value_end(rest.as_bytes());
        self.rest = rest.get(end..).unwrap_or_default();
        rest.get(..end)
    }
}

/// Where the value at the beginning of a text ends.
fn value_end(json: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => at = string_end(json, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            b',' | b':' | b' ' | b'\t' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
            return at;
        }
    }
    json.len()
}

/// The closing quote of the string that begins at `at`.
fn string_end(json: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(found) = json.get(end..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        end += found;
        if json[end] == b'"' {
            return end;
        }
        end += 2;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_their_texts_say() {
        for (json, value, name) in [
            ("1", Value::Int(1), "bigint"),
            ("-0.5", Value::Float(-0.5), "float"),
            ("1e3", Value::Float(1000.0), "float"),
            ("9223372036854775808", Value::Float(9_223_372_036_854_775_808.0), "float"),
            ("\"a\\\"b\"", Value::Text("a\"b".into()), "nvarchar(max)"),
            ("true", Value::Boolean(true), "bit"),
            ("[1]", Value::Array("[1]"), "array"),
            ("{}", Value::Record("{}"), "record"),
        ] {
            assert_eq!(Value::of(json), value);
            assert_eq!(value.type_name(), Some(name));
        }
        assert_eq!(Value::of("null").type_name(), None);
    }

    #[test]
    fn insides_are_found_whatever_stands_in_texts() {
        let array = r#"[ 1,"a],\"{" , {"b":[2,3]} ,[],null, -1.5e2 ]"#;
        let found: Vec<&str> = elements(array).collect();
        assert_eq!(found, ["1", r#""a],\"{""#, r#"{"b":[2,3]}"#, "[]", "null", "-1.5e2"]);
        let record = r#"{"a" : 1, "B":{"c":"}"}, "\u0064":[ ]}"#;
        let found: Vec<(Cow<'_, str>, &str)> = members(record).collect();
        assert_eq!(found, [("a".into(), "1"), ("B".into(), r#"{"c":"}"}"#), ("d".into(), "[ ]")]);
        assert_eq!(member(record, "b"), Some(r#"{"c":"}"}"#));
        assert_eq!(member(r#"{"B":1,"b":2}"#, "b"), Some("2"));
        assert_eq!((member(record, "x"), elements("{}").count(), members("[1]").count()), (None, 0, 0));
    }

    #[test]
    fn nothing_recurses() {
        let deep = format!("[{}1{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(elements(&deep).count(), 1);
        // Texts that are no JSON end somewhere, without a panic.
        for broken in ["[\"a", "{\"a", "[\"\\", "[1", "{:", "[}"] {
            assert!(elements(broken).count() + members(broken).count() < 3);
        }
    }

    #[test]
    fn equal_values_have_one_canonical_text() {
        for (json, expected) in [
            ("1.0", "1"),
            ("1e2", "100"),
            ("1e18", "1000000000000000000"),
            ("-9223372036854775808.0", "-9223372036854775808"),
            ("9223372036854775808", canonical("9.223372036854775808e18").as_ref()),
            ("-0", "0"),
            ("0.10", "0.1"),
            (r#""\u0061""#, "\"a\""),
            ("true", "true"),
        ] {
            assert_eq!(canonical(json), expected);
        }
    }
}
