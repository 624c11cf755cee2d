//! A document's value to operations: what is not understood is left out, what is not OpenAPI 3 is refused.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schema::{NAME_CHARS_MAX, Walk, text};
use super::{Answer, Body, Document, Operation, Parameter, Place};
use crate::error::PortalError;

/// Operations of one document.
const OPERATIONS_MAX: usize = 500;

/// Parameters of one operation.
const PARAMETERS_MAX: usize = 100;

/// Characters of a path.
const PATH_CHARS_MAX: usize = 1_000;

/// Characters of an answer's status.
const STATUS_CHARS_MAX: usize = 20;

/// Answers of one operation.
const ANSWERS_MAX: usize = 50;

/// The methods of a path that are operations.
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "head", "options"];

/// Reads a document.
///
/// # Errors
/// [`PortalError::Document`].
pub fn read(document: &Value) -> Result<Document, PortalError> {
    let wrong = |reason: String| Err(PortalError::Document { reason });
    let version = match document.get("openapi") {
        Some(Value::String(version)) => version.clone(),
        Some(Value::Number(version)) => version.to_string(),
        _ => return wrong("expected a field `openapi` with the version 3.0 or 3.1".to_owned()),
    };
    if !version.starts_with("3.") {
        return wrong(format!("expected the version 3.0 or 3.1, found {version}"));
    }
    let info = document.get("info").unwrap_or(&Value::Null);
    let title = text(info, "title");
    if title.is_empty() {
        return wrong("expected a title at `info.title`".to_owned());
    }
    let Some(paths) = document.get("paths").and_then(Value::as_object) else {
        return wrong("expected an object at `paths`".to_owned());
    };
    let walk = Walk::new(document);
    let mut operations: Vec<Operation> = Vec::new();
    let mut ids = BTreeSet::new();
    for (path, item) in paths {
        if !path.starts_with('/') {
            return wrong(format!("expected paths that begin with `/`, found `{}`", shortened(path)));
        }
        if path.chars().count() > PATH_CHARS_MAX {
            return wrong(format!(
                "expected paths of at most {PATH_CHARS_MAX} characters, found `{}`…",
                shortened(path)
            ));
        }
        let item = walk.resolved(item);
        for method in METHODS {
            let Some(found) = item.get(method).filter(|found| found.is_object()) else { continue };
            if operations.len() >= OPERATIONS_MAX {
                return wrong(format!("it has more than {OPERATIONS_MAX} operations"));
            }
            operations.push(operation(&walk, path, item, method, found, &mut ids));
        }
    }
    let version = text(info, "version");
    Ok(Document { title, version, description: text(info, "description"), operations })
}

fn operation<'d>(
    walk: &Walk<'d>,
    path: &str,
    item: &'d Value,
    method: &str,
    found: &'d Value,
    ids: &mut BTreeSet<String>,
) -> Operation {
    let declared = found.get("operationId").and_then(Value::as_str).unwrap_or_default();
    let wanted = if declared.is_empty() { &format!("{method}{path}") } else { declared };
    Operation {
        id: unique(wanted, ids),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: walk.text(found, "summary"),
        description: walk.text(found, "description"),
        deprecated: found.get("deprecated").and_then(Value::as_bool).unwrap_or(false),
        parameters: parameters(walk, item, found),
        body: found.get("requestBody").map(|body| self::body(walk, walk.resolved(body))),
        answers: found
            .get("responses")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .take(ANSWERS_MAX)
            .map(|(status, answer)| self::answer(walk, status, walk.resolved(answer)))
            .collect(),
    }
}

/// An id for addresses, made of a name that may hold anything.
fn unique(wanted: &str, ids: &mut BTreeSet<String>) -> String {
    let kept = wanted.chars().take(80).map(|char| if char.is_ascii_alphanumeric() || char == '_' { char } else { '-' });
    let base: String = kept.collect::<String>().trim_matches('-').to_owned();
    let base = if base.is_empty() { "operation".to_owned() } else { base };
    let mut id = base.clone();
    let mut number = 2;
    while !ids.insert(id.clone()) {
        id = format!("{base}-{number}");
        number += 1;
    }
    id
}

/// The parameters of an operation: its own, and those of its path that it does not replace.
fn parameters<'d>(walk: &Walk<'d>, item: &'d Value, operation: &'d Value) -> Vec<Parameter> {
    let list = |holder: &'d Value| -> Vec<Parameter> {
        let found = holder.get("parameters").and_then(Value::as_array).into_iter().flatten();
        found.take(PARAMETERS_MAX).filter_map(|found| parameter(walk, walk.resolved(found))).collect()
    };
    let mut all = list(operation);
    for shared in list(item) {
        if !all.iter().any(|own| own.name == shared.name && own.place == shared.place) {
            all.push(shared);
        }
    }
    all
}

fn parameter<'d>(walk: &Walk<'d>, found: &'d Value) -> Option<Parameter> {
    let name = found.get("name").and_then(Value::as_str)?.trim();
    let place = match found.get("in").and_then(Value::as_str)? {
        "path" => Place::Path,
        "query" => Place::Query,
        "header" => Place::Header,
        _ => return None,
    };
    let schema = found.get("schema").unwrap_or(&Value::Null);
    let given = [found, walk.resolved(schema)].iter().find_map(|holder| {
        let named = holder.get("examples").and_then(|examples| match examples {
            Value::Array(list) => list.first(),
            other => other.as_object().and_then(|named| named.values().next()).and_then(|named| named.get("value")),
        });
        holder.get("example").or(named).or(holder.get("default"))
    });
    (!name.is_empty() && name.chars().count() <= NAME_CHARS_MAX).then(|| Parameter {
        name: walk.cut(name, NAME_CHARS_MAX),
        place,
        required: place == Place::Path || found.get("required").and_then(Value::as_bool).unwrap_or(false),
        description: walk.text(found, "description"),
        kind: walk.kind(schema),
        example: given.map(|given| walk.written(given)).unwrap_or_default(),
    })
}

fn body<'d>(walk: &Walk<'d>, found: &'d Value) -> Body {
    let (media_type, fields, example) = content(walk, found);
    Body {
        required: found.get("required").and_then(Value::as_bool).unwrap_or(false),
        description: walk.text(found, "description"),
        media_type,
        fields,
        example,
    }
}

fn answer<'d>(walk: &Walk<'d>, status: &str, found: &'d Value) -> Answer {
    let (media_type, fields, example) = content(walk, found);
    let (status, description) = (walk.cut(status, STATUS_CHARS_MAX), walk.text(found, "description"));
    Answer { status, description, media_type, fields, example }
}

/// What a body is: JSON when it may be, else the first media type.
fn content<'d>(walk: &Walk<'d>, holder: &'d Value) -> (String, Vec<super::Field>, String) {
    let types = holder.get("content").and_then(Value::as_object);
    let types = || types.into_iter().flatten().filter(|(name, _)| name.len() <= NAME_CHARS_MAX);
    let json = types().find(|(name, _)| name.contains("json"));
    let Some((name, media)) = json.or_else(|| types().next()) else {
        return (String::new(), Vec::new(), String::new());
    };
    let schema = media.get("schema").unwrap_or(&Value::Null);
    (walk.cut(name, NAME_CHARS_MAX), walk.fields(schema), walk.example(media, schema, name))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "openapi": "3.0.3",
            "info": { "title": "Quotes", "version": "1", "description": "Prices." },
            "paths": {
                "/quotes/{symbol}": {
                    "parameters": [{ "$ref": "#/components/parameters/symbol" }],
                    "get": {
                        "operationId": "get <quote>", "summary": "One quote",
                        "parameters": [{ "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": 9, "default": 3 } }],
                        "responses": { "200": { "description": "Found", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Quote" } } } } },
                    },
                    "post": { "requestBody": { "required": true, "content": { "application/json": { "schema": { "allOf": [
                        { "$ref": "#/components/schemas/Quote" }, { "properties": { "note": { "type": "string" } } } ] } } } }, "responses": {} },
                },
            },
            "components": {
                "parameters": { "symbol": { "name": "symbol", "in": "path", "required": true, "example": "MSFT", "schema": { "type": "string" } } },
                "schemas": { "Quote": { "type": "object", "required": ["price"], "properties": {
                    "price": { "type": "number", "example": 101.5 },
                    "parts": { "type": "array", "items": { "$ref": "#/components/schemas/Quote" } },
                    "side": { "enum": ["buy", "sell"] } } } },
            },
        })
    }

    #[test]
    fn operations_have_parameters_fields_and_examples() {
        let read = read(&document()).unwrap();
        let [get, post] = &read.operations[..] else { panic!("{read:?}") };
        assert_eq!(
            (get.id.as_str(), get.method.as_str(), post.id.as_str()),
            ("get--quote", "GET", "post-quotes--symbol")
        );
        let told: Vec<_> =
            get.parameters.iter().map(|p| (p.name.as_str(), p.kind.as_str(), p.example.as_str())).collect();
        assert_eq!(told, [("limit", "integer, 1 to 9", "3"), ("symbol", "string", "MSFT")]);
        let answer = &get.answers[0];
        let fields: Vec<_> =
            answer.fields.iter().take(3).map(|f| (f.depth, f.name.as_str(), f.kind.as_str(), f.required)).collect();
        assert_eq!(
            fields,
            [(0, "price", "number", true), (0, "parts", "array of object", false), (1, "price", "number", true)]
        );
        let example: Value = serde_json::from_str(&answer.example).unwrap();
        assert_eq!((&example["price"], &example["side"]), (&json!(101.5), &json!("buy")));
        let body = post.body.as_ref().unwrap();
        assert!(
            body.required && body.example.contains("\"note\"") && body.fields.iter().any(|field| field.name == "note")
        );
    }

    #[test]
    fn other_documents_are_refused_with_the_reason() {
        for (document, reason) in [
            (json!({}), "`openapi`"),
            (json!({ "openapi": "2.0" }), "found 2.0"),
            (json!({ "openapi": "3.1.0", "info": {} }), "`info.title`"),
            (json!({ "openapi": "3.1.0", "info": { "title": "a" } }), "`paths`"),
            (json!({ "openapi": "3.1.0", "info": { "title": "a" }, "paths": { "a": {} } }), "begin with `/`"),
            (json!([]), "`openapi`"),
        ] {
            let error = read(&document).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn schemas_that_hold_themselves_end() {
        let many = vec![json!({ "$ref": "#/components/schemas/A" }); 20];
        let schema = json!({ "$ref": "#/components/schemas/A" });
        let content = json!({ "content": { "application/json": { "schema": schema } } });
        for a in [
            json!({ "allOf": many }),
            json!({ "items": schema }),
            json!({ "oneOf": many }),
            json!({ "$ref": "#/components/schemas/A" }),
        ] {
            let document = json!({ "openapi": "3.1.0", "info": { "title": "a" },
                "paths": { "/a": { "post": { "requestBody": content, "responses": { "200": content } } } },
                "components": { "schemas": { "A": a } } });
            assert_eq!(read(&document).unwrap().operations.len(), 1);
        }
    }

    #[test]
    fn a_long_text_in_a_thousand_places_is_not_copied_a_thousand_times() {
        let long = "x".repeat(100_000);
        let shared = json!({ "$ref": "#/components/parameters/long" });
        let content =
            json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Long" } } } });
        let answers: serde_json::Map<String, Value> =
            (0..50).map(|status| (status.to_string(), json!({ "$ref": "#/components/responses/long" }))).collect();
        let item = json!({ "get": { "parameters": vec![shared; 100], "requestBody": content, "responses": answers } });
        let paths: serde_json::Map<String, Value> = (0..300).map(|at| (format!("/{at}"), item.clone())).collect();
        let properties: serde_json::Map<String, Value> =
            (0..300).map(|at| (format!("{at}"), json!({ "$ref": "#/components/schemas/Text" }))).collect();
        let document = json!({ "openapi": "3.1.0", "info": { "title": "a" }, "paths": paths, "components": {
            "parameters": { "long": { "name": "long", "in": "query", "example": long, "description": long,
                "schema": { "enum": [long, long], "pattern": long, "minimum": long } } },
            "responses": { "long": { "description": long, "content": { "text/plain": { "example": [long] } } } },
            "schemas": { "Long": { "properties": properties },
                "Text": { "type": "string", "default": "y".repeat(7_000), "description": long, "format": long } } } });
        let read = read(&document).unwrap();
        let texts = |operation: &Operation| -> usize {
            let parameters =
                operation.parameters.iter().map(|one| one.example.len() + one.description.len() + one.kind.len());
            let fields = |fields: &[super::super::Field]| {
                fields.iter().map(|one| one.name.len() + one.description.len() + one.kind.len()).sum::<usize>()
            };
            let body = operation.body.iter().map(|one| one.example.len() + fields(&one.fields));
            let answers =
                operation.answers.iter().map(|one| one.example.len() + one.media_type.len() + one.description.len());
            parameters.chain(body).chain(answers).sum()
        };
        assert_eq!(read.operations.len(), 300);
        let total: usize = read.operations.iter().map(texts).sum();
        assert!((1 << 20..=8 << 20).contains(&total), "{total}");
    }

    #[test]
    fn nonsense_within_a_document_is_left_out() {
        let odd = json!({ "openapi": 3.1, "info": { "title": "a", "version": 7 }, "paths": {
            "/a": { "get": { "parameters": "x", "responses": [1] }, "post": 5, "x": {} }, "/b": null, "/c": { "$ref": "#/paths/~1c" } } });
        assert_eq!(read(&odd).unwrap().operations.len(), 1);
    }
}
