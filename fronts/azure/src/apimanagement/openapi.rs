//! The import of an API from its description: OpenAPI 3 as JSON or YAML, and Swagger 2.0 as JSON. Pure.
//!
//! Taken are the title, the backend's address and the operations; what a description says of schemas and security has no
//! counterpart here. Sources: the OpenAPI Specification 3.0 and 2.0; API Management's "Import API" for the names of operations.

use millstream_catalog::ManagedOperation;
use millstream_portal::openapi;
use serde_json::{Map, Value};

use super::error::ArmError;

/// The methods under which a path has operations, as descriptions name them.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
/// The longest name of an operation.
const NAME_CHARS_MAX: usize = 80;

/// What a description says of an API.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Imported {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) backend: Option<String>,
    pub(super) operations: Vec<ManagedOperation>,
}

/// The format of what a link of a format leads to; `None` when it is no link's.
pub(super) fn linked(format: &str) -> Option<&'static str> {
    match format {
        "openapi-link" => Some("openapi"),
        "openapi+json-link" => Some("openapi+json"),
        "swagger-link-json" => Some("swagger-json"),
        _ => None,
    }
}

/// Reads a description in one of the service's formats.
pub(super) fn read(format: &str, text: &str) -> Result<Imported, ArmError> {
    let invalid = |reason: String| ArmError::invalid(format!("Parsing error(s): {reason}"));
    let member = match format {
        "openapi" | "openapi+json" => "openapi",
        "swagger-json" => "swagger",
        _ => return Err(ArmError::unsupported(&format!("The import of an API in the format {format}"))),
    };
    let document = match format {
        "openapi" => openapi::parse(text).map_err(|error| invalid(error.to_string()))?,
        _ => serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?,
    };
    let version = document.get(member).map(version_of).unwrap_or_default();
    let backend = match version.split('.').next().unwrap_or_default() {
        "3" => document.pointer("/servers/0").and_then(|server| text_of(server, "url")),
        "2" => host_of(&document),
        _ => return Err(invalid(format!("expected OpenAPI 3 or Swagger 2.0, found the version `{version}`"))),
    };
    let info = document.get("info").cloned().unwrap_or_default();
    let paths = document.get("paths").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut operations = Vec::new();
    for (path, item) in &paths {
        if !path.starts_with('/') {
            return Err(invalid(format!("expected a path that begins with `/`, found `{path}`")));
        }
        let Some(item) = item.as_object() else { return Err(invalid(format!("the path `{path}` is no object"))) };
        operations.extend(METHODS.iter().filter_map(|method| operation(path, method, item)));
    }
    Ok(Imported {
        title: text_of(&info, "title"),
        description: text_of(&info, "description"),
        // A relative address means where the description came from, which nobody knows here.
        backend: backend.filter(|url| url.starts_with("http://") || url.starts_with("https://")),
        operations,
    })
}

fn operation(path: &str, method: &str, item: &Map<String, Value>) -> Option<ManagedOperation> {
    let described = item.get(method)?;
    let id = text_of(described, "operationId");
    let name = name(id.as_deref().unwrap_or(&format!("{method}{path}")));
    let display_name = text_of(described, "summary").or(id).unwrap_or_else(|| name.clone());
    Some(ManagedOperation {
        name,
        display_name,
        method: method.to_uppercase(),
        template: path.to_owned(),
        policy: None,
    })
}

/// A version, which YAML has as a number when it looks like one.
fn version_of(version: &Value) -> String {
    version.as_str().map_or_else(|| version.to_string(), str::to_owned)
}

/// A text as the name of a resource: letters and digits, with single hyphens for all else between them.
fn name(text: &str) -> String {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").chars().take(NAME_CHARS_MAX).collect()
}

/// The address of Swagger's `schemes`, `host` and `basePath`.
fn host_of(document: &Value) -> Option<String> {
    let scheme = document.pointer("/schemes/0").and_then(Value::as_str).unwrap_or("https");
    let path = text_of(document, "basePath").unwrap_or_default();
    Some(format!("{scheme}://{}{}", text_of(document, "host")?, path.trim_end_matches('/')))
}

fn text_of(document: &Value, name: &str) -> Option<String> {
    document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_versions_are_read() {
        let paths = json!({
            "/orders/{id}": {
                "parameters": [{ "name": "id", "in": "path" }],
                "get": { "operationId": "getOrder", "summary": "Get an order" },
                "delete": {},
            },
        });
        let three = json!({ "openapi": "3.0.1", "info": { "title": "Orders", "description": "d" },
                            "servers": [{ "url": "https://orders.example/v1" }], "paths": paths });
        let two = json!({ "swagger": "2.0", "info": { "title": "Orders", "description": "d" }, "host": "orders.example",
                          "basePath": "/v1/", "paths": paths });
        let found = read("openapi+json", &three.to_string()).unwrap();
        assert_eq!(read("swagger-json", &two.to_string()).unwrap(), found);
        let yaml = "openapi: 3.0.1\ninfo: {title: Orders, description: d}\nservers:\n  - url: https://orders.example/v1\n\
                    paths:\n  /orders/{id}:\n    get: {operationId: getOrder, summary: Get an order}\n    delete: {}\n";
        assert_eq!(read("openapi", yaml).unwrap(), found);
        assert_eq!(read("openapi", &three.to_string()).unwrap(), found);
        assert_eq!(
            (found.title.as_deref(), found.backend.as_deref()),
            (Some("Orders"), Some("https://orders.example/v1"))
        );
        let operation = |name: &str, display: &str, method: &str| ManagedOperation {
            name: name.into(),
            display_name: display.into(),
            method: method.into(),
            template: "/orders/{id}".into(),
            policy: None,
        };
        let expected =
            [operation("getOrder", "Get an order", "GET"), operation("delete-orders-id", "delete-orders-id", "DELETE")];
        assert_eq!(found.operations, expected);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for (format, text) in [
            ("openapi+json", "{"),
            ("openapi+json", r#"{"openapi":"4.0"}"#),
            ("openapi+json", r#"{"swagger":"2.0"}"#),
            ("swagger-json", r#"{"swagger":"2.0","paths":{"x":{}}}"#),
            ("openapi", "openapi: 4.0"),
            ("openapi", "openapi: [3"),
            ("wsdl", "<a/>"),
        ] {
            assert!(read(format, text).is_err(), "{format} {text}");
        }
        assert_eq!(
            read("openapi+json", r#"{"openapi":"3.1.0","servers":[{"url":"/v1"}]}"#).unwrap(),
            Imported::default()
        );
    }
}
