//! The document of an API that came with none: what its deployed resources and methods tell.

use millstream_catalog::{ApiDefinition, Method};
use serde_json::{Map, Value, json};

/// The header that carries a key.
pub const KEY_HEADER: &str = "x-api-key";

/// Describes what a stage of an API serves; `None` when there is no such stage.
#[must_use]
pub fn describe(api: &ApiDefinition, stage: &str) -> Option<Value> {
    let stage = api.stages.get(stage)?;
    let deployment = api.deployments.get(&stage.deployment)?;
    let mut paths = Map::new();
    let mut resources: Vec<_> = deployment.resources.values().collect();
    resources.sort_by(|a, b| a.path.cmp(&b.path));
    for resource in resources {
        let mut item = Map::new();
        for (name, method) in &resource.methods {
            // `ANY` is shown as the method that most callers use.
            let word = if name == "ANY" { "get".to_owned() } else { name.to_lowercase() };
            item.entry(word).or_insert_with(|| operation(&resource.path, method));
        }
        if !item.is_empty() {
            paths.insert(resource.path.clone(), Value::Object(item));
        }
    }
    Some(json!({
        "openapi": "3.0.3",
        "info": { "title": api.name, "version": stage.deployment, "description": api.description },
        "paths": paths,
        "components": { "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": KEY_HEADER } } },
    }))
}

fn operation(path: &str, method: &Method) -> Value {
    let in_path = path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(parameter(name.trim_end_matches('+'), "path", true))
    });
    let declared = method.request_parameters.iter().filter_map(|(name, required)| {
        let (place, name) = name.strip_prefix("method.request.")?.split_once('.')?;
        match place {
            "querystring" => Some(parameter(name, "query", *required)),
            "header" => Some(parameter(name, "header", *required)),
            _ => None,
        }
    });
    let parameters: Vec<Value> = in_path.chain(declared).collect();
    let statuses = method.responses.keys().map(String::as_str);
    let statuses: Vec<&str> = if method.responses.is_empty() { vec!["200"] } else { statuses.collect() };
    let answers: Map<String, Value> =
        statuses.into_iter().map(|status| (status.to_owned(), json!({ "description": "" }))).collect();
    let mut operation = json!({ "parameters": parameters, "responses": answers });
    if method.api_key_required {
        operation["security"] = json!([{ "key": [] }]);
    }
    operation
}

fn parameter(name: &str, place: &str, required: bool) -> Value {
    json!({ "name": name, "in": place, "required": required, "schema": { "type": "string" } })
}
