//! Patterns: JSON documents that say which values fields of a message may have. Pure.
//!
//! All fields of a pattern have to hold, of a field's list one test is enough, `$or` holds when one of its patterns does.
//! Source: "Amazon SNS subscription filter policies", whose language other services of the family share.
//! Read next: [`value`] (the tests on one value).

mod value;

use millstream_catalog::{MessagePattern, PatternScope};
use serde_json::{Map, Value};

use super::FilterError;
use crate::message::Message;
use value::Test;

/// Fields of a pattern, those within others not counted. Source: the service's quota, as for the other limits.
pub const FIELDS_MAX: usize = 5;
/// Combinations: the lengths of all lists multiplied, each by the depth at which it lies.
pub const COMBINATIONS_MAX: usize = 150;
/// Bytes of a pattern.
pub const BYTES_MAX: usize = 256 << 10;
/// Objects within each other: bounds the work for one message.
const DEPTH_MAX: usize = 16;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    scope: PatternScope,
    root: Node,
}

/// An object of a pattern.
#[derive(Debug, Default)]
struct Node {
    fields: Vec<(String, Rule)>,
    /// Of each list one has to hold.
    alternatives: Vec<Vec<Node>>,
}

#[derive(Debug)]
enum Rule {
    /// One of these has to hold.
    OneOf(Vec<Test>),
    /// The field is an object, or a list with one, that this holds of.
    Within(Node),
}

impl Pattern {
    pub(super) fn compile(pattern: &MessagePattern) -> Result<Self, FilterError> {
        if pattern.text.len() > BYTES_MAX {
            return Err(FilterError::TooMany { what: "bytes in a pattern", found: pattern.text.len(), max: BYTES_MAX });
        }
        let document: Value = serde_json::from_str(&pattern.text).map_err(|_| wrong("failed to parse JSON"))?;
        let Value::Object(document) = document else { return Err(wrong("Filter policy must be a JSON object")) };
        if document.len() > FIELDS_MAX {
            return Err(FilterError::TooComplex);
        }
        let root = Node::compile(&document, pattern.scope, 1)?;
        if root.combinations(pattern.scope, 1) > COMBINATIONS_MAX {
            return Err(FilterError::TooComplex);
        }
        Ok(Self { scope: pattern.scope, root })
    }

    pub(super) fn wants(&self, message: &Message) -> bool {
        // A pattern that asks for nothing is none: it does not even ask for a body that can be read.
        if self.root.fields.is_empty() && self.root.alternatives.is_empty() {
            return true;
        }
        match self.scope {
            // Of a message without any nothing holds, not even that one is missing: so the service has it.
            PatternScope::Attributes => {
                !message.attributes.is_empty() && self.root.holds_of(&message.attribute_values())
            }
            PatternScope::Body => match serde_json::from_str(&message.body) {
                Ok(Value::Object(body)) => self.root.holds_of(&body),
                _ => false,
            },
        }
    }
}

impl Node {
    fn compile(object: &Map<String, Value>, scope: PatternScope, depth: usize) -> Result<Self, FilterError> {
        if depth > DEPTH_MAX {
            return Err(FilterError::TooComplex);
        }
        let mut node = Self::default();
        for (name, value) in object {
            match value {
                Value::Array(list) if name == "$or" && is_alternatives(list) => {
                    let objects = list.iter().filter_map(Value::as_object);
                    let compiled = objects.map(|object| Self::compile(object, scope, depth + 1));
                    node.alternatives.push(compiled.collect::<Result<_, _>>()?);
                }
                Value::Array(list) if list.is_empty() => {
                    return Err(wrong("Empty arrays are not allowed"));
                }
                Value::Array(list) => {
                    let tests = list.iter().map(Test::compile).collect::<Result<_, _>>()?;
                    node.fields.push((name.clone(), Rule::OneOf(tests)));
                }
                Value::Object(_) if scope == PatternScope::Attributes => {
                    return Err(wrong("Filter policy scope MessageAttributes does not support nested filter policy"));
                }
                Value::Object(inner) if inner.is_empty() => return Err(wrong("Empty objects are not allowed")),
                Value::Object(inner) => {
                    node.fields.push((name.clone(), Rule::Within(Self::compile(inner, scope, depth + 1)?)));
                }
                _ => return Err(wrong(&format!("\"{name}\" must be an object or an array"))),
            }
        }
        Ok(node)
    }

    fn combinations(&self, scope: PatternScope, depth: usize) -> usize {
        let of_field = |rule: &Rule| match rule {
            Rule::OneOf(tests) if scope == PatternScope::Body => tests.len().saturating_mul(depth),
            Rule::OneOf(tests) => tests.len(),
            Rule::Within(node) => node.combinations(scope, depth + 1),
        };
        let fields = self.fields.iter().map(|(_, rule)| of_field(rule));
        let of_list = |nodes: &Vec<Self>| nodes.iter().map(|node| node.combinations(scope, depth)).sum();
        fields.chain(self.alternatives.iter().map(of_list)).fold(1, usize::saturating_mul)
    }

    fn holds_of(&self, object: &Map<String, Value>) -> bool {
        self.fields.iter().all(|(name, rule)| rule.holds_of(object.get(name)))
            && self.alternatives.iter().all(|nodes| nodes.iter().any(|node| node.holds_of(object)))
    }
}

impl Rule {
    fn holds_of(&self, value: Option<&Value>) -> bool {
        match self {
            Self::OneOf(tests) => {
                let mut leaves = Vec::new();
                collect_leaves(value, &mut leaves);
                // A list without elements is there, an object is none that could be compared.
                let present = value.is_some_and(|value| !value.is_object());
                tests.iter().any(|test| test.holds_of(present, &leaves))
            }
            Self::Within(node) => match value {
                Some(Value::Object(object)) => node.holds_of(object),
                Some(Value::Array(list)) => list.iter().any(|element| self.holds_of(Some(element))),
                // What is asked to be missing within an object is missing without it too.
                _ => node.holds_of(&Map::new()),
            },
        }
    }
}

/// The plain values of a field, lists looked into.
fn collect_leaves<'v>(value: Option<&'v Value>, leaves: &mut Vec<&'v Value>) {
    match value {
        Some(Value::Array(list)) => list.iter().for_each(|element| collect_leaves(Some(element), leaves)),
        Some(Value::Object(_)) | None => {}
        Some(leaf) => leaves.push(leaf),
    }
}

/// Whether the list of a field that is named `$or` is a list of patterns; otherwise it is a field like others.
fn is_alternatives(list: &[Value]) -> bool {
    let pattern = |element: &Value| {
        element.as_object().is_some_and(|object| !object.is_empty() && !object.keys().any(|key| value::is_test(key)))
    };
    list.len() >= 2 && list.iter().all(pattern)
}

fn wrong(what: &str) -> FilterError {
    FilterError::Pattern { what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::{Attribute, AttributeValue};

    fn compile(text: Value, scope: PatternScope) -> Result<Pattern, FilterError> {
        Pattern::compile(&MessagePattern { text: text.to_string(), scope })
    }

    fn message(body: &Value, attributes: &[(&str, &str, &str)]) -> Message {
        let attribute = |(name, kind, text): &(&str, &str, &str)| {
            let value = AttributeValue::Text((*text).to_owned());
            ((*name).to_owned(), Attribute { kind: (*kind).to_owned(), value })
        };
        Message { body: body.to_string(), attributes: attributes.iter().map(attribute).collect(), ..Message::default() }
    }

    #[test]
    fn attributes_are_compared_by_their_types() {
        let attributes = [
            ("store", "String", "example_corp"),
            ("price", "Number", "210.75"),
            ("interests", "String.Array", r#"["soccer", "rugby", 7, true, null]"#),
            ("address", "String", "10.0.0.255"),
        ];
        let message = message(&json!("any"), &attributes);
        for (pattern, wanted) in [
            (json!({}), true),
            (json!({ "store": ["example_corp"] }), true),
            (json!({ "store": ["Example_corp"] }), false),
            (json!({ "store": [{ "equals-ignore-case": "Example_CORP" }] }), true),
            (json!({ "store": [{ "prefix": "example" }] }), true),
            (json!({ "store": [{ "suffix": "corp" }] }), true),
            (json!({ "store": [{ "anything-but": "example_corp" }] }), false),
            (json!({ "store": [{ "anything-but": ["a", "b"] }] }), true),
            (json!({ "store": [{ "anything-but": { "prefix": "ex" } }] }), false),
            (json!({ "store": [{ "anything-but": { "suffix": "inc" } }] }), true),
            (json!({ "price": [210.75] }), true),
            (json!({ "price": ["210.75"] }), false),
            (json!({ "price": [{ "numeric": [">", 0, "<=", 210.75] }] }), true),
            (json!({ "price": [{ "numeric": ["<", 100] }] }), false),
            (json!({ "price": [{ "numeric": ["=", 210.750001] }] }), true),
            (json!({ "price": [{ "anything-but": [100, 210.75] }] }), false),
            (json!({ "interests": ["rugby"] }), true),
            (json!({ "interests": [true] }), true),
            (json!({ "interests": [null] }), true),
            (json!({ "interests": ["tennis"] }), false),
            (json!({ "interests": [{ "anything-but": ["rugby"] }] }), true),
            (json!({ "address": [{ "cidr": "10.0.0.0/24" }] }), true),
            (json!({ "address": [{ "cidr": "10.0.1.0/24" }] }), false),
            (json!({ "store": [{ "exists": true }], "none": [{ "exists": false }] }), true),
            (json!({ "none": [{ "anything-but": "x" }] }), false),
            (json!({ "store": ["other"], "price": [210.75] }), false),
            (json!({ "$or": [{ "store": ["other"] }, { "price": [210.75] }] }), true),
            (json!({ "$or": [{ "store": ["other"] }, { "price": [1] }] }), false),
        ] {
            let compiled = compile(pattern.clone(), PatternScope::Attributes).unwrap();
            assert_eq!(compiled.wants(&message), wanted, "{pattern}");
        }
    }

    #[test]
    fn nothing_holds_of_a_message_without_attributes() {
        let plain = message(&json!("any"), &[]);
        assert!(!compile(json!({ "none": [{ "exists": false }] }), PatternScope::Attributes).unwrap().wants(&plain));
        assert!(compile(json!({}), PatternScope::Attributes).unwrap().wants(&plain));
    }

    #[test]
    fn bodies_are_looked_into() {
        let body = json!({ "order": { "kind": "sale", "lines": [{ "sku": 1 }, { "sku": 2 }] }, "on": true, "n": null, "empty": [] });
        let message = message(&body, &[]);
        for (pattern, wanted) in [
            (json!({ "order": { "kind": ["sale"] } }), true),
            (json!({ "order": { "lines": { "sku": [2] } } }), true),
            (json!({ "order": { "lines": { "sku": [3] } } }), false),
            (json!({ "on": [true], "n": [null] }), true),
            (json!({ "order": { "gone": [{ "exists": false }] } }), true),
            (json!({ "none": { "gone": [{ "exists": false }] } }), true),
            (json!({ "order": [{ "exists": true }] }), false),
            (json!({ "on": [{ "exists": true }] }), true),
            (json!({ "n": [{ "exists": true }] }), false),
            (json!({ "n": [{ "exists": false }] }), false),
            (json!({ "empty": [{ "exists": true }] }), false),
        ] {
            let compiled = compile(pattern.clone(), PatternScope::Body).unwrap();
            assert_eq!(compiled.wants(&message), wanted, "{pattern}");
        }
        let text = Message { body: "no JSON".into(), ..Message::default() };
        assert!(!compile(json!({ "on": [true] }), PatternScope::Body).unwrap().wants(&text));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let many = |count: usize| Value::from_iter(0..count);
        for (pattern, scope, expected) in [
            (json!([]), PatternScope::Body, "must be a JSON object"),
            (json!({ "a": 1 }), PatternScope::Body, "\"a\" must be an object or an array"),
            (json!({ "a": [] }), PatternScope::Body, "Empty arrays"),
            (json!({ "a": { "b": [1] } }), PatternScope::Attributes, "does not support nested"),
            (json!({ "a": [{ "like": "x" }] }), PatternScope::Body, "Unrecognized match type like"),
            (json!({ "a": [{ "numeric": ["<"] }] }), PatternScope::Body, "numeric"),
            (json!({ "a": [{ "numeric": [">", 5, "<", 2] }] }), PatternScope::Body, "Bottom must be less than top"),
            (json!({ "a": [{ "cidr": "10.0.0.0/33" }] }), PatternScope::Body, "cidr"),
            (json!({ "a": [{ "exists": "x" }] }), PatternScope::Body, "exists"),
            (json!({ "a": many(151) }), PatternScope::Body, "too complex"),
            (json!({ "a": many(13), "b": many(12) }), PatternScope::Attributes, "too complex"),
            (json!({ "a": { "b": many(76) } }), PatternScope::Body, "too complex"),
            (json!({ "a": [1], "b": [1], "c": [1], "d": [1], "e": [1], "f": [1] }), PatternScope::Body, "too complex"),
        ] {
            let found = compile(pattern.clone(), scope).unwrap_err().to_string();
            assert!(found.contains(expected), "{pattern}: {found}");
        }
        let text = MessagePattern { text: "{".into(), scope: PatternScope::Body };
        assert!(Pattern::compile(&text).unwrap_err().to_string().contains("failed to parse JSON"));
    }
}
