//! Filter criteria: JSON patterns that records are matched with. Pure.
//!
//! A pattern is an object whose members are objects, for members below, or lists of values and rules of which one must hold.
//! Source: the Lambda developer guide, "Control which events Lambda sends to your function", filter rule syntax.

use std::sync::Arc;

use base64_simd::STANDARD;
use millstream_catalog::EventSource;
use millstream_mapping::Filter;
use serde_json::{Map, Number, Value};

/// What must hold of an object.
#[derive(Debug, Clone, PartialEq)]
struct Pattern {
    /// All of these.
    members: Vec<(String, Node)>,
    /// One of each of these lists.
    either: Vec<Vec<Pattern>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Below(Pattern),
    OneOf(Vec<Rule>),
}

/// What must hold of a value.
#[derive(Debug, Clone, PartialEq)]
enum Rule {
    Equals(Value),
    EqualsIgnoringCase(String),
    Prefix(String),
    Suffix(String),
    AnythingBut(Vec<Value>),
    Numeric(Vec<(Comparison, f64)>),
    Exists(bool),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What some patterns let through: whatever matches one of them.
///
/// # Errors
/// What is wrong with the first pattern that cannot be read.
pub fn filter(source: &EventSource, patterns: &[String]) -> Result<Filter, String> {
    let read = |pattern: &String| match serde_json::from_str(pattern) {
        Ok(Value::Object(members)) => Pattern::read(&members),
        Ok(_) => Err("a pattern must be a JSON object".to_owned()),
        Err(error) => Err(format!("a pattern is no JSON: {error}")),
    };
    let patterns = patterns.iter().map(read).collect::<Result<Vec<Pattern>, _>>()?;
    let payload = match source {
        EventSource::Stream { .. } => Payload::KinesisData,
        EventSource::Queue { .. } => Payload::Body,
        EventSource::Table { .. } => Payload::None,
    };
    Ok(Arc::new(move |record| {
        let Some(record) = payload.shown(record) else { return false };
        patterns.iter().any(|pattern| pattern.matches(Some(&record)))
    }))
}

/// Which part of a record is the user's own, and may be JSON within JSON.
#[derive(Clone, Copy)]
enum Payload {
    KinesisData,
    Body,
    None,
}

impl Payload {
    /// A record as patterns see it.
    fn shown(self, record: &[u8]) -> Option<Value> {
        let mut record: Value = serde_json::from_slice(record).ok()?;
        match self {
            Self::KinesisData => {
                let mut record = record.get_mut("kinesis")?.take();
                let data = STANDARD.decode_to_vec(record.get("data")?.as_str()?).ok()?;
                record["data"] = inner(&data);
                Some(record)
            }
            Self::Body => {
                let body = inner(record.get("body")?.as_str()?.as_bytes());
                record["body"] = body;
                Some(record)
            }
            Self::None => Some(record),
        }
    }
}

/// An object when it is one, else the text.
fn inner(payload: &[u8]) -> Value {
    match serde_json::from_slice(payload) {
        Ok(object @ Value::Object(_)) => object,
        _ => Value::String(String::from_utf8_lossy(payload).into_owned()),
    }
}

impl Pattern {
    fn read(object: &Map<String, Value>) -> Result<Self, String> {
        if object.is_empty() {
            return Err("a pattern must have a member".to_owned());
        }
        let mut pattern = Self { members: Vec::new(), either: Vec::new() };
        for (name, value) in object {
            match (name.as_str(), value) {
                ("$or", Value::Array(patterns)) => pattern.either.push(Self::read_all(patterns)?),
                (_, Value::Object(below)) => pattern.members.push((name.clone(), Node::Below(Self::read(below)?))),
                (_, Value::Array(rules)) if !rules.is_empty() => {
                    let rules = rules.iter().map(Rule::read).collect::<Result<_, _>>()?;
                    pattern.members.push((name.clone(), Node::OneOf(rules)));
                }
                _ => return Err(format!("\"{name}\" must be an object or a list of at least one value")),
            }
        }
        Ok(pattern)
    }

    fn read_all(patterns: &[Value]) -> Result<Vec<Self>, String> {
        if patterns.is_empty() {
            return Err("\"$or\" must be a list of at least one object".to_owned());
        }
        let read = |pattern: &Value| match pattern {
            Value::Object(members) => Self::read(members),
            _ => Err("\"$or\" must be a list of objects".to_owned()),
        };
        patterns.iter().map(read).collect()
    }

    fn matches(&self, value: Option<&Value>) -> bool {
        let holds = |(name, node): &(String, Node)| {
            let member = value.and_then(|value| value.get(name));
            match node {
                Node::Below(pattern) => pattern.matches(member),
                Node::OneOf(rules) => rules.iter().any(|rule| rule.holds(member)),
            }
        };
        self.members.iter().all(holds)
            && self.either.iter().all(|patterns| patterns.iter().any(|pattern| pattern.matches(value)))
    }
}

impl Rule {
    fn read(value: &Value) -> Result<Self, String> {
        let Value::Object(rule) = value else {
            return match value {
                Value::Array(_) => Err("a list cannot stand in a list of values".to_owned()),
                value => Ok(Self::Equals(value.clone())),
            };
        };
        let mut members = rule.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else {
            return Err("a rule must have exactly one member".to_owned());
        };
        let text = || value.as_str().map(str::to_owned).ok_or_else(|| format!("\"{name}\" must be a text"));
        match name.as_str() {
            "prefix" => Ok(Self::Prefix(text()?)),
            "suffix" => Ok(Self::Suffix(text()?)),
            "equals-ignore-case" => Ok(Self::EqualsIgnoringCase(text()?.to_lowercase())),
            "exists" => value.as_bool().map(Self::Exists).ok_or_else(|| "\"exists\" must be true or false".to_owned()),
            "anything-but" => match value {
                Value::Array(values) if values.iter().all(plain) && !values.is_empty() => {
                    Ok(Self::AnythingBut(values.clone()))
                }
                value if plain(value) => Ok(Self::AnythingBut(vec![value.clone()])),
                _ => Err("\"anything-but\" must be a text, a number or a list of them".to_owned()),
            },
            "numeric" => numeric(value).map(Self::Numeric),
            other => Err(format!("there is no rule \"{other}\"")),
        }
    }

    /// Of a list one element must fit.
    fn holds(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(wanted), value) => value.is_some_and(|value| !value.is_object()) == *wanted,
            (_, None) => false,
            (rule, Some(Value::Array(values))) => values.iter().any(|value| rule.fits(value)),
            (rule, Some(value)) => rule.fits(value),
        }
    }

    fn fits(&self, value: &Value) -> bool {
        let text = |holds: &dyn Fn(&str) -> bool| value.as_str().is_some_and(holds);
        match self {
            Self::Equals(wanted) => same(wanted, value),
            Self::EqualsIgnoringCase(wanted) => text(&|text| text.to_lowercase() == *wanted),
            Self::Prefix(prefix) => text(&|text| text.starts_with(prefix.as_str())),
            Self::Suffix(suffix) => text(&|text| text.ends_with(suffix.as_str())),
            Self::AnythingBut(values) => plain(value) && !values.iter().any(|other| same(other, value)),
            Self::Numeric(ranges) => {
                let number = value.as_f64();
                number.is_some_and(|number| ranges.iter().all(|(comparison, limit)| comparison.holds(number, *limit)))
            }
            Self::Exists(_) => false,
        }
    }
}

impl Comparison {
    fn holds(self, number: f64, limit: f64) -> bool {
        match self {
            Self::Equal => number == limit,
            Self::Less => number < limit,
            Self::LessOrEqual => number <= limit,
            Self::Greater => number > limit,
            Self::GreaterOrEqual => number >= limit,
        }
    }
}

/// `["=", 5]` or `[">", 0, "<=", 10]`
fn numeric(value: &Value) -> Result<Vec<(Comparison, f64)>, String> {
    let wrong = || "\"numeric\" must be a list of comparisons and numbers, such as [\">\", 0, \"<=\", 10]".to_owned();
    let parts = value.as_array().filter(|parts| matches!(parts.len(), 2 | 4)).ok_or_else(wrong)?;
    let comparison = |pair: &[Value]| {
        let comparison = match pair.first()?.as_str()? {
            "=" => Comparison::Equal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        };
        Some((comparison, pair.get(1)?.as_f64()?))
    };
    parts.chunks(2).map(comparison).collect::<Option<_>>().ok_or_else(wrong)
}

fn plain(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_))
}

/// Numbers are the same by their value, however they are written.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_number().and_then(Number::as_f64), other.as_number().and_then(Number::as_f64)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_hold_or_not() {
        let value = json!({
            "city": "Seattle", "temperature": 46, "empty": "", "none": null, "tags": ["a", "b"], "in": { "n": 1.0 },
        });
        for (pattern, expected) in [
            (json!({ "city": ["Seattle"] }), true),
            (json!({ "city": ["seattle"] }), false),
            (json!({ "city": [{ "equals-ignore-case": "sEATTLE" }] }), true),
            (json!({ "city": [{ "prefix": "Sea" }], "temperature": [46] }), true),
            (json!({ "city": [{ "suffix": "tle" }], "temperature": [47] }), false),
            (json!({ "city": ["Boston", { "anything-but": ["Rome"] }] }), true),
            (json!({ "city": [{ "anything-but": "Seattle" }] }), false),
            (json!({ "temperature": [{ "numeric": [">", 40, "<=", 46] }] }), true),
            (json!({ "temperature": [{ "numeric": ["<", 46] }] }), false),
            (json!({ "city": [{ "numeric": ["=", 1] }] }), false),
            (json!({ "empty": [""], "none": [null] }), true),
            (json!({ "none": ["null"] }), false),
            (json!({ "tags": ["b"] }), true),
            (json!({ "tags": ["c"] }), false),
            (json!({ "in": { "n": [1] } }), true),
            (json!({ "city": { "n": [1] } }), false),
            (json!({ "in": [{ "exists": true }] }), false),
            (json!({ "city": [{ "exists": true }] }), true),
            (json!({ "gone": [{ "exists": false }] }), true),
            (json!({ "gone": { "n": [{ "exists": false }] } }), true),
            (json!({ "gone": [{ "anything-but": "x" }] }), false),
            (json!({ "$or": [{ "city": ["Rome"] }, { "temperature": [46] }] }), true),
            (json!({ "$or": [{ "city": ["Rome"] }, { "temperature": [4] }], "city": ["Seattle"] }), false),
        ] {
            let read = Pattern::read(pattern.as_object().unwrap()).unwrap();
            assert_eq!(read.matches(Some(&value)), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        let source = EventSource::Queue { name: "q".into() };
        for (pattern, reason) in [
            ("{", "no JSON"),
            ("[]", "JSON object"),
            ("{}", "must have a member"),
            (r#"{"a":1}"#, "\"a\" must be"),
            (r#"{"a":[]}"#, "\"a\" must be"),
            (r#"{"a":[[1]]}"#, "a list cannot stand"),
            (r#"{"a":[{"like":"x"}]}"#, "no rule \"like\""),
            (r#"{"a":[{"prefix":1}]}"#, "must be a text"),
            (r#"{"a":[{"prefix":"x","suffix":"y"}]}"#, "exactly one member"),
            (r#"{"a":[{"numeric":["~",1]}]}"#, "\"numeric\""),
            (r#"{"a":[{"anything-but":[]}]}"#, "\"anything-but\""),
            (r#"{"$or":[]}"#, "\"$or\""),
        ] {
            let error = filter(&source, &[pattern.to_owned()]).err().unwrap();
            assert!(error.contains(reason), "{pattern}: {error}");
        }
    }

    #[test]
    fn payloads_are_looked_into_when_they_are_objects() {
        let stream = EventSource::Stream { name: "s".into() };
        let queue = EventSource::Queue { name: "q".into() };
        let kinesis = |data: &str| {
            let data = STANDARD.encode_to_string(data);
            json!({ "kinesis": { "partitionKey": "k", "data": data }, "eventName": "x" }).to_string()
        };
        let message = |body: &str| json!({ "body": body, "messageId": "m" }).to_string();
        for (source, pattern, record, expected) in [
            (&stream, json!({ "data": { "n": [1] } }), kinesis(r#"{"n":1}"#), true),
            (&stream, json!({ "data": { "n": [1] } }), kinesis("n=1"), false),
            (&stream, json!({ "data": ["n=1"], "partitionKey": ["k"] }), kinesis("n=1"), true),
            (&queue, json!({ "body": { "n": [{ "exists": true }] } }), message(r#"{"n":"x"}"#), true),
            (&queue, json!({ "body": ["plain"], "messageId": ["m"] }), message("plain"), true),
            (&queue, json!({ "body": { "n": [1] } }), message("plain"), false),
        ] {
            let filter = filter(source, &[r#"{"never":["x"]}"#.to_owned(), pattern.to_string()]).unwrap();
            assert_eq!(filter(record.as_bytes()), expected, "{pattern} {record}");
        }
        assert!(!filter(&stream, &[r#"{"a":[{"exists":false}]}"#.to_owned()]).unwrap()(b"no json"));
    }
}
