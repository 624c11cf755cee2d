//! Schemas: the fields that they describe, what a value may be in words, and an example where the document gives none.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::bounded::{Room, cut, cut_json, length};

/// Fields of one schema; what is more is left out.
const FIELDS_MAX: usize = 200;

/// How deep fields, parts and references are followed: schemas may hold themselves.
const DEPTH_MAX: usize = 12;

/// How deep fields are shown.
const SHOWN_DEPTH_MAX: usize = 5;

/// Schemas that are looked at for a whole document: a few lines can refer to themselves in a thousand ways.
const STEPS_MAX: usize = 100_000;

/// Alternatives that are named.
const ALTERNATIVES_SHOWN: usize = 10;

/// Characters of what a value may be.
const KIND_CHARS_MAX: usize = 300;

/// Characters of a text for people.
const TEXT_CHARS_MAX: usize = 4_000;

/// Characters of an example.
pub(super) const EXAMPLE_CHARS_MAX: usize = 8_000;

/// Characters of a name.
pub(super) const NAME_CHARS_MAX: usize = 200;

/// Values of an example that is made up.
const EXAMPLE_VALUES_MAX: usize = 500;

/// A field of a schema, flat: what lies in an object follows it, one deeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// How deep it lies; 0 for fields of the schema itself.
    pub depth: usize,
    /// Its name.
    pub name: String,
    /// What it may be.
    pub kind: String,
    /// Whether it must be there.
    pub required: bool,
    /// For people.
    pub description: String,
}

/// A walk through the schemas of one document.
pub(super) struct Walk<'d> {
    document: &'d Value,
    steps_left: Cell<usize>,
    room: Room,
}

/// What is left for an example that is made up.
struct Left {
    values: usize,
    chars: usize,
}

impl<'d> Walk<'d> {
    pub(super) fn new(document: &'d Value) -> Self {
        Self { document, steps_left: Cell::new(STEPS_MAX), room: Room::new() }
    }

    /// A text for people; empty when there is none.
    pub(super) fn text(&self, value: &Value, name: &str) -> String {
        self.room.cut(raw(value, name), TEXT_CHARS_MAX)
    }

    /// What is shown, cut after so many characters.
    pub(super) fn cut(&self, shown: &str, chars_max: usize) -> String {
        self.room.cut(shown, chars_max)
    }

    /// A value as somebody would write it; empty when it is longer than an example may be.
    pub(super) fn written(&self, value: &Value) -> String {
        match value {
            Value::Null => String::new(),
            Value::String(text) => self.room.whole(text, EXAMPLE_CHARS_MAX),
            other => self.room.whole(other, EXAMPLE_CHARS_MAX),
        }
    }

    /// What `value` refers to, when it is a reference within the document; else itself.
    pub(super) fn resolved(&self, value: &'d Value) -> &'d Value {
        let mut found = value;
        for _ in 0..DEPTH_MAX {
            let Some(reference) = found.get("$ref").and_then(Value::as_str) else { return found };
            match reference.strip_prefix('#').and_then(|pointer| self.document.pointer(pointer)) {
                Some(target) => found = target,
                None => return found,
            }
        }
        found
    }

    /// Whether a schema at that depth may still be looked at.
    fn step(&self, depth: usize) -> bool {
        let left = self.steps_left.get();
        self.steps_left.set(left.saturating_sub(1));
        left > 0 && depth < DEPTH_MAX
    }

    /// The fields of a schema, in the document's order.
    pub(super) fn fields(&self, schema: &'d Value) -> Vec<Field> {
        let mut found = Vec::new();
        self.collect(schema, 0, 0, &mut found);
        found
    }

    fn collect(&self, schema: &'d Value, shown: usize, depth: usize, found: &mut Vec<Field>) {
        if shown >= SHOWN_DEPTH_MAX || self.room.is_spent() || !self.step(depth) {
            return;
        }
        let schema = self.resolved(schema);
        if let Some(items) = schema.get("items") {
            return self.collect(items, shown, depth + 1, found);
        }
        for part in list(schema, "allOf") {
            self.collect(part, shown, depth + 1, found);
        }
        let required = list(schema, "required");
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if found.len() >= FIELDS_MAX {
                return;
            }
            found.push(Field {
                depth: shown,
                name: self.cut(name, NAME_CHARS_MAX),
                kind: self.kind(property),
                required: required.iter().any(|required| required.as_str() == Some(name)),
                description: self.text(self.resolved(property), "description"),
            });
            self.collect(property, shown + 1, depth + 1, found);
        }
    }

    /// What a value may be, in words: `array of string (date)`, `integer, 1 to 100`, `"a" or "b"`.
    pub(super) fn kind(&self, schema: &'d Value) -> String {
        if self.room.is_spent() { String::new() } else { self.room.cut(self.kind_at(schema, 0), KIND_CHARS_MAX) }
    }

    fn kind_at(&self, schema: &'d Value, depth: usize) -> String {
        if self.step(depth) { cut(self.words(schema, depth), KIND_CHARS_MAX) } else { "…".to_owned() }
    }

    fn words(&self, schema: &'d Value, depth: usize) -> String {
        let schema = self.resolved(schema);
        let choices = list(schema, "enum");
        if !choices.is_empty() {
            return alternatives(choices.iter().map(|choice| cut_json(choice, KIND_CHARS_MAX)));
        }
        for word in ["oneOf", "anyOf"] {
            let parts = list(schema, word);
            if !parts.is_empty() {
                return alternatives(parts.iter().map(|part| self.kind_at(part, depth + 1)));
            }
        }
        if let Some(items) = schema.get("items") {
            return format!("array of {}", self.kind_at(items, depth + 1));
        }
        let name = match schema.get("type") {
            Some(Value::String(name)) => cut(name, KIND_CHARS_MAX),
            Some(Value::Array(names)) => {
                let names = names.iter().take(ALTERNATIVES_SHOWN).filter_map(Value::as_str);
                names.map(|name| cut(name, KIND_CHARS_MAX)).collect::<Vec<_>>().join(" or ")
            }
            _ if schema.get("properties").is_some() || schema.get("allOf").is_some() => "object".to_owned(),
            _ => "any".to_owned(),
        };
        let format =
            schema.get("format").and_then(Value::as_str).map(|format| format!(" ({})", cut(format, KIND_CHARS_MAX)));
        format!("{name}{}{}", format.unwrap_or_default(), bounds(schema))
    }

    /// The example that stands beside or in a schema, else one that is made up; as it would be sent.
    pub(super) fn example(&self, holder: &'d Value, schema: &'d Value, media_type: &str) -> String {
        let named = holder.get("examples").and_then(Value::as_object).and_then(|examples| examples.values().next());
        let named = named.map(|named| self.resolved(named)).and_then(|named| named.get("value"));
        if self.room.is_spent() {
            return String::new();
        }
        let mut left = Left { values: EXAMPLE_VALUES_MAX, chars: EXAMPLE_CHARS_MAX };
        let given = holder.get("example").or(named);
        let made_up = if given.is_none() { self.made_up(schema, 0, &mut left) } else { None };
        match given.or(made_up.as_ref()) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) if !media_type.contains("json") => self.room.whole(text, EXAMPLE_CHARS_MAX),
            Some(other) => self.room.whole(format_args!("{other:#}"), EXAMPLE_CHARS_MAX),
        }
    }

    /// A value that a schema describes.
    fn made_up(&self, schema: &'d Value, depth: usize, left: &mut Left) -> Option<Value> {
        left.values = left.values.checked_sub(1)?;
        if !self.step(depth) {
            return None;
        }
        let schema = self.resolved(schema);
        let first = |word: &str| list(schema, word).first();
        let given = schema.get("example").or_else(|| first("examples")).or_else(|| schema.get("default"));
        if let Some(given) = given.or_else(|| first("enum")).or_else(|| schema.get("const")) {
            // Measured before it is copied.
            left.chars -= length(given, left.chars)?;
            return Some(given.clone());
        }
        if let Some(items) = schema.get("items") {
            return Some(Value::Array(self.made_up(items, depth + 1, left).into_iter().collect()));
        }
        let choice = ["oneOf", "anyOf"].iter().find_map(|word| list(schema, word).first());
        if let Some(part) = choice {
            return self.made_up(part, depth + 1, left);
        }
        let object = self.made_up_object(schema, depth, left);
        if object.is_empty() { plain(schema) } else { Some(Value::Object(object)) }
    }

    fn made_up_object(&self, schema: &'d Value, depth: usize, left: &mut Left) -> Map<String, Value> {
        let mut object = Map::new();
        for part in list(schema, "allOf") {
            if let Some(Value::Object(part)) = self.made_up(part, depth + 1, left) {
                object.extend(part);
            }
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let Some(chars) = left.chars.checked_sub(name.len()) else { continue };
            if let Some(value) = self.made_up(property, depth + 1, left) {
                left.chars = left.chars.min(chars);
                object.insert(name.clone(), value);
            }
        }
        object
    }
}

/// A value of a plain type.
fn plain(schema: &Value) -> Option<Value> {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    match schema.get("type").and_then(Value::as_str)? {
        "string" => Some(json!(match format {
            "date-time" => "2026-01-31T12:00:00Z",
            "date" => "2026-01-31",
            "email" => "someone@example.org",
            "uuid" => "00000000-0000-4000-8000-000000000000",
            "uri" => "https://example.org/",
            _ => "text",
        })),
        "integer" => Some(schema.get("minimum").filter(|least| least.is_number()).cloned().unwrap_or(json!(1))),
        "number" => Some(schema.get("minimum").filter(|least| least.is_number()).cloned().unwrap_or(json!(1.5))),
        "boolean" => Some(json!(true)),
        "object" => Some(json!({})),
        _ => None,
    }
}

/// Some of the words, with `or` between them.
fn alternatives(words: impl ExactSizeIterator<Item = String>) -> String {
    let more = if words.len() > ALTERNATIVES_SHOWN { " or …" } else { "" };
    format!("{}{more}", words.take(ALTERNATIVES_SHOWN).collect::<Vec<_>>().join(" or "))
}

fn bounds(schema: &Value) -> String {
    let bound = |name: &str| schema.get(name).map(|bound| cut_json(bound, KIND_CHARS_MAX));
    let range = |low: &str, high: &str, unit: &str| match (bound(low), bound(high)) {
        (Some(low), Some(high)) => format!(", {low} to {high}{unit}"),
        (Some(low), None) => format!(", at least {low}{unit}"),
        (None, Some(high)) => format!(", at most {high}{unit}"),
        (None, None) => String::new(),
    };
    let pattern = schema
        .get("pattern")
        .and_then(Value::as_str)
        .map(|pattern| format!(", matches {}", cut(pattern, KIND_CHARS_MAX)));
    let numbers = range("minimum", "maximum", "");
    format!("{numbers}{}{}", range("minLength", "maxLength", " characters"), pattern.unwrap_or_default())
}

/// The values of a list; none when there is no such list.
fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A text; empty when there is none.
pub(super) fn text(value: &Value, name: &str) -> String {
    cut(raw(value, name), TEXT_CHARS_MAX)
}

fn raw<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default().trim()
}
