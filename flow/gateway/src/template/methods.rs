//! What values can be asked: members, indexes and methods, by the names that templates use.

use std::borrow::Cow;
use std::cmp::Ordering;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use super::render::Held;

/// What form encoding leaves as it is besides letters and digits.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

/// Whether `$util` has a method of that name.
pub(super) fn is_util(method: &str) -> bool {
    ["escapeJavaScript", "parseJson", "urlEncode", "urlDecode", "base64Encode", "base64Decode"].contains(&method)
}

/// Whether some value has a method of that name with so many arguments.
pub(super) fn is_known(method: &str, arguments: usize) -> bool {
    match arguments {
        0 => [
            "size",
            "length",
            "isEmpty",
            "keySet",
            "values",
            "entrySet",
            "toString",
            "toLowerCase",
            "toUpperCase",
            "trim",
            "intValue",
            "getKey",
            "getValue",
        ]
        .contains(&method),
        1 => [
            "get",
            "contains",
            "containsKey",
            "containsValue",
            "equals",
            "equalsIgnoreCase",
            "startsWith",
            "endsWith",
            "indexOf",
            "substring",
            "split",
            "concat",
            "add",
            "remove",
            "matches",
        ]
        .contains(&method),
        2 => ["substring", "replace", "replaceAll", "put", "getOrDefault"].contains(&method),
        _ => false,
    }
}

/// Whether a method changes its value.
pub(super) fn changes(method: &str) -> bool {
    ["add", "put", "remove"].contains(&method)
}

/// A value as it prints: texts as they are, everything else as JSON.
pub(super) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}

/// The order of two numbers or two texts.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// `value.name`
pub(super) fn member<'s>(value: Held<'s>, name: &str) -> Held<'s> {
    match value {
        Cow::Borrowed(value) => value.get(name).map_or(Cow::Owned(Value::Null), Cow::Borrowed),
        Cow::Owned(mut value) => Cow::Owned(value.get_mut(name).map(Value::take).unwrap_or_default()),
    }
}

/// `value[index]`
pub(super) fn at<'s>(value: Held<'s>, index: &Value) -> Held<'s> {
    let Some(index) = index.as_i64() else { return member(value, &text(index)) };
    let length = value.as_array().map_or(0, Vec::len);
    // Negative indexes count from the end, as in Velocity.
    let index = if index < 0 { i64::try_from(length).unwrap_or(0) + index } else { index };
    let Ok(index) = usize::try_from(index) else { return Cow::Owned(Value::Null) };
    match value {
        Cow::Borrowed(value) => value.get(index).map_or(Cow::Owned(Value::Null), Cow::Borrowed),
        Cow::Owned(mut value) => Cow::Owned(value.get_mut(index).map(Value::take).unwrap_or_default()),
    }
}

/// Changes a list or a map in place; gives what Velocity's method gives.
pub(super) fn change(value: &mut Value, method: &str, mut arguments: Vec<Value>) -> Result<Value, String> {
    match (value, method, arguments.len()) {
        (Value::Array(items), "add", 1) => {
            items.append(&mut arguments);
            Ok(json!(true))
        }
        (Value::Array(items), "remove", 1) => {
            let index = arguments[0].as_u64().and_then(|index| usize::try_from(index).ok());
            Ok(index.filter(|index| *index < items.len()).map(|index| items.remove(index)).unwrap_or_default())
        }
        (Value::Object(members), "put", 2) => {
            let value = arguments.pop().unwrap_or_default();
            Ok(members.insert(text(&arguments[0]).into_owned(), value).unwrap_or_default())
        }
        (Value::Object(members), "remove", 1) => {
            Ok(members.shift_remove(text(&arguments[0]).as_ref()).unwrap_or_default())
        }
        (value, method, _) => Err(format!("`{method}` cannot be asked of {}", kind(value))),
    }
}

/// `value.method(arguments)`
pub(super) fn call<'s>(value: Held<'s>, method: &str, arguments: &[Value]) -> Result<Held<'s>, String> {
    match (value.as_ref(), method, arguments) {
        (Value::Array(_) | Value::Object(_), "get", [key]) => return Ok(at(value, key)),
        (Value::Object(members), "getOrDefault", [key, other]) => {
            return Ok(Cow::Owned(members.get(text(key).as_ref()).unwrap_or(other).clone()));
        }
        (Value::Object(_), "getKey", []) => return Ok(member(value, "key")),
        (Value::Object(_), "getValue", []) => return Ok(member(value, "value")),
        // What is asked of nothing is nothing: a missing member must not end the whole answer.
        (Value::Null, _, _) => return Ok(value),
        _ => {}
    }
    let answer = match (value.as_ref(), method, arguments) {
        (value, "toString", []) => json!(text(value)),
        (value, "equals", [other]) => json!(value == other),
        (Value::Array(items), "size", []) => json!(items.len()),
        (Value::Array(items), "isEmpty", []) => json!(items.is_empty()),
        (Value::Array(items), "contains", [item]) => json!(items.contains(item)),
        (Value::Array(items), "indexOf", [item]) => position(items.iter().position(|other| other == item)),
        (Value::Object(members), "size", []) => json!(members.len()),
        (Value::Object(members), "isEmpty", []) => json!(members.is_empty()),
        (Value::Object(members), "containsKey", [key]) => json!(members.contains_key(text(key).as_ref())),
        (Value::Object(members), "containsValue", [item]) => json!(members.values().any(|value| value == item)),
        (Value::Object(members), "keySet", []) => json!(members.keys().collect::<Vec<_>>()),
        (Value::Object(members), "values", []) => json!(members.values().collect::<Vec<_>>()),
        (Value::Object(members), "entrySet", []) => {
            members.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
        }
        (Value::String(receiver), method, arguments) => of_text(receiver, method, arguments)?,
        (Value::Number(number), "intValue", []) => json!(number.as_i64()),
        (value, method, _) => return Err(format!("`{method}` cannot be asked of {}", kind(value))),
    };
    Ok(Cow::Owned(answer))
}

fn of_text(receiver: &str, method: &str, arguments: &[Value]) -> Result<Value, String> {
    let first = arguments.first().map(text).unwrap_or_default();
    let second = arguments.get(1).map(text).unwrap_or_default();
    Ok(match (method, arguments.len()) {
        ("length" | "size", 0) => json!(receiver.chars().count()),
        ("isEmpty", 0) => json!(receiver.is_empty()),
        ("toLowerCase", 0) => json!(receiver.to_lowercase()),
        ("toUpperCase", 0) => json!(receiver.to_uppercase()),
        ("trim", 0) => json!(receiver.trim()),
        ("intValue", 0) => json!(receiver.trim().parse::<i64>().ok()),
        ("contains", 1) => json!(receiver.contains(first.as_ref())),
        ("startsWith", 1) => json!(receiver.starts_with(first.as_ref())),
        ("endsWith", 1) => json!(receiver.ends_with(first.as_ref())),
        ("equalsIgnoreCase", 1) => json!(receiver.eq_ignore_ascii_case(&first)),
        ("concat", 1) => json!(format!("{receiver}{first}")),
        ("indexOf", 1) => position(receiver.find(first.as_ref()).map(|at| receiver[..at].chars().count())),
        ("matches", 1) => json!(pattern(&format!("^(?:{first})$"))?.is_match(receiver)),
        ("split", 1) => json!(pattern(&first)?.split(receiver).collect::<Vec<_>>()),
        ("replace", 2) => json!(bounded(receiver, &first, &second)?.replace(first.as_ref(), &second)),
        ("replaceAll", 2) => json!(pattern(&first)?.replace_all(bounded(receiver, &first, &second)?, second.as_ref())),
        ("substring", 1 | 2) => {
            let index = |argument: &Value| argument.as_u64().and_then(|index| usize::try_from(index).ok());
            let begin = index(&arguments[0]).ok_or_else(|| "`substring` takes whole numbers".to_owned())?;
            let end = arguments.get(1).and_then(index).unwrap_or(usize::MAX);
            json!(receiver.chars().skip(begin).take(end.saturating_sub(begin)).collect::<String>())
        }
        _ => return Err(format!("`{method}` cannot be asked of a text")),
    })
}

/// The receiver, unless replacing in it could make a text far longer than all that it is made of.
fn bounded<'t>(receiver: &'t str, _what: &str, with: &str) -> Result<&'t str, String> {
    let longest = receiver.len().saturating_add(1).saturating_mul(with.len().max(1));
    if longest > super::OUTPUT_BYTES_MAX {
        Err("a replacement makes a text that is too long".to_owned())
    } else {
        Ok(receiver)
    }
}

fn pattern(text: &str) -> Result<regex::Regex, String> {
    let built = regex::RegexBuilder::new(text).size_limit(1 << 20).build();
    built.map_err(|error| format!("`{text}` is no regular expression: {error}"))
}

fn position(found: Option<usize>) -> Value {
    found.map_or(json!(-1), |at| json!(at))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// `$util.method(argument)`
pub(super) fn util(method: &str, argument: &Value) -> Result<Value, String> {
    let argument = text(argument);
    Ok(match method {
        "escapeJavaScript" => json!(escaped(&argument)),
        "parseJson" => {
            serde_json::from_str(&argument).map_err(|error| format!("`parseJson` was given no JSON: {error}"))?
        }
        "urlEncode" => json!(utf8_percent_encode(&argument, FORM).to_string().replace(' ', "+")),
        "urlDecode" => json!(percent_decode_str(&argument.replace('+', " ")).decode_utf8_lossy()),
        "base64Encode" => json!(base64_simd::STANDARD.encode_to_string(argument.as_bytes())),
        _ => {
            let bytes = base64_simd::STANDARD.decode_to_vec(argument.as_bytes());
            let bytes = bytes.map_err(|_| "`base64Decode` was given no base64".to_owned())?;
            json!(String::from_utf8_lossy(&bytes))
        }
    })
}

/// A text as it stands in a JavaScript string, by the rules of the service: single quotes are escaped too.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' | '\'' | '\\' | '/' => escaped.extend(['\\', char]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            other if u32::from(other) < 0x20 || u32::from(other) > 0x7f => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    escaped.push_str(&format!("\\u{unit:04X}"));
                }
            }
            other => escaped.push(other),
        }
    }
    escaped
}
