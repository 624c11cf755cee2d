//! `CreateApiKey`, `ImportApiKeys`, `GetApiKeys`, `GetApiKey`, `UpdateApiKey`, `DeleteApiKey`

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use millstream_catalog::ApiKeyDefinition;
use millstream_gateway::{ApiKeyChange, GatewayError, NewApiKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiGateway, bad_request, error, input, page, patch, seconds};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

/// What of a key can be changed.
const CHANGEABLE: [&str; 4] = ["/customerId", "/description", "/enabled", "/name"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    name: Option<String>,
    description: Option<String>,
    #[serde(default)]
    enabled: bool,
    generate_distinct_id: Option<bool>,
    value: Option<String>,
    stage_keys: Option<Vec<Value>>,
    customer_id: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

/// A line of an import, by the names of its columns.
#[derive(Deserialize)]
struct Imported {
    name: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    enabled: Option<String>,
    /// Ids of usage plans, separated by commas.
    #[serde(default)]
    usageplanids: Option<String>,
}

pub(super) async fn create(front: &ApiGateway, request: &RestRequest) -> Answer {
    if request.parameters().get("mode").is_some_and(|mode| mode == "import") {
        return import(front, request).await;
    }
    let input: Input = input(request)?;
    if input.stage_keys.is_some_and(|keys| !keys.is_empty()) {
        return Err(bad_request("stageKeys are not supported by this node: attach the key to a usage plan"));
    }
    if input.generate_distinct_id == Some(false) {
        return Err(bad_request("generateDistinctId false is not supported by this node: a key's id is not its value"));
    }
    let new = NewApiKey {
        name: input.name.unwrap_or_default(),
        description: input.description.unwrap_or_default(),
        value: input.value,
        enabled: input.enabled,
        customer: input.customer_id.unwrap_or_default(),
        tags: input.tags.unwrap_or_default(),
        plans: BTreeSet::new(),
    };
    let made = front.plans.create_key(new).await.map_err(|e| key_error(&e))?;
    Ok((StatusCode::CREATED, shown(&made, true)))
}

/// Keys from a CSV file. A line that cannot be taken is a warning; with `failonwarnings` nothing is taken then.
async fn import(front: &ApiGateway, request: &RestRequest) -> Answer {
    let parameters = request.parameters();
    if parameters.get("format").is_none_or(|format| format != "csv") {
        return Err(bad_request("format must be csv"));
    }
    let mut warnings = Vec::new();
    let mut keys = Vec::new();
    for (line, read) in lines(&request.body)?.into_iter().enumerate() {
        match read.map_err(|error| error.to_string()).and_then(|imported| new_key(front, imported)) {
            Ok(key) => keys.push((line, key)),
            Err(reason) => warnings.push(format!("line {}: {reason}", line + 2)),
        }
    }
    let strict = parameters.get("failonwarnings").is_some_and(|strict| strict == "true");
    if strict && !warnings.is_empty() {
        return Err(bad_request(warnings.join("; ")));
    }
    let mut ids = Vec::new();
    for (line, key) in keys {
        match front.plans.create_key(key).await {
            Ok(made) => ids.push(made.id.clone()),
            Err(refused @ (GatewayError::Catalog(_) | GatewayError::Storage(_))) => return Err(key_error(&refused)),
            Err(refused) => warnings.push(format!("line {}: {}", line + 2, key_error(&refused).message)),
        }
    }
    Ok((StatusCode::CREATED, json!({ "ids": ids, "warnings": warnings })))
}

fn lines(body: &[u8]) -> Result<Vec<Result<Imported, csv::Error>>, ServiceError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(body);
    let headers = reader.headers().map_err(|error| bad_request(format!("the file is no CSV: {error}")))?;
    // The names of the columns are taken in any case.
    let headers: csv::StringRecord = headers.iter().map(str::to_ascii_lowercase).collect();
    if !headers.iter().any(|header| header == "name") {
        return Err(bad_request(
            "the file's first line must name its columns: name,key,description,enabled,usageplanIds",
        ));
    }
    reader.set_headers(headers);
    Ok(reader.deserialize().collect())
}

fn new_key(front: &ApiGateway, imported: Imported) -> Result<NewApiKey, String> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let value = given(imported.key).ok_or("the key is missing")?;
    if front.plans.key_of_value(&value).is_some() {
        return Err("there is an API key of this value already".to_owned());
    }
    let enabled = given(imported.enabled).is_none_or(|enabled| enabled.eq_ignore_ascii_case("true"));
    let plans = given(imported.usageplanids).unwrap_or_default();
    let plans: BTreeSet<String> =
        plans.split(',').map(str::trim).filter(|plan| !plan.is_empty()).map(str::to_owned).collect();
    if let Some(unknown) = plans.iter().find(|plan| front.plans.plan(plan).is_err()) {
        return Err(format!("there is no usage plan {unknown}"));
    }
    let description = given(imported.description).unwrap_or_default();
    Ok(NewApiKey { name: imported.name, description, value: Some(value), enabled, plans, ..NewApiKey::default() })
}

pub(super) fn list(front: &ApiGateway, request: &RestRequest) -> Answer {
    let parameters = request.parameters();
    let with_values = is_true(parameters.get("includeValues"));
    let (name, customer) = (parameters.get("name"), parameters.get("customerId"));
    let mut keys = front.plans.keys();
    keys.retain(|key| name.is_none_or(|name| key.name.starts_with(name.as_str())));
    keys.retain(|key| customer.is_none_or(|customer| key.customer == *customer));
    page::answer(request, keys.iter().map(|key| (key.id.as_str(), shown(key, with_values))))
}

pub(super) fn get(front: &ApiGateway, request: &RestRequest, key: &str) -> Answer {
    let with_value = is_true(request.parameters().get("includeValue"));
    Ok((StatusCode::OK, shown(&*front.plans.key(key).map_err(|e| key_error(&e))?, with_value)))
}

pub(super) async fn update(front: &ApiGateway, request: &RestRequest, key: &str) -> Answer {
    let mut change = ApiKeyChange::default();
    for operation in patch::operations(request)? {
        let text = || operation.set().map(|text| Some(text.to_owned())).map_err(bad_request);
        match (operation.op.as_str(), operation.path.as_str()) {
            ("replace", "/name") => change.name = text()?,
            ("replace", "/description") => change.description = text()?,
            ("replace", "/customerId") => change.customer = text()?,
            ("replace", "/enabled") => change.enabled = Some(operation.parsed().map_err(bad_request)?),
            _ => return Err(bad_request(operation.refused(&CHANGEABLE))),
        }
    }
    let changed = front.plans.update_key(key, change).await.map_err(|e| key_error(&e))?;
    Ok((StatusCode::OK, shown(&changed, false)))
}

pub(super) async fn delete(front: &ApiGateway, key: &str) -> Answer {
    front.plans.delete_key(key).await.map_err(|e| key_error(&e))?;
    Ok((StatusCode::ACCEPTED, json!({})))
}

/// The engine's facts in the words that the service has for keys.
fn key_error(fact: &GatewayError) -> ServiceError {
    match fact {
        GatewayError::Exists { kind: "API key", .. } => {
            ServiceError { status: 409, ..ServiceError::new("ConflictException", "API Key already exists") }
        }
        other => error(other),
    }
}

fn is_true(parameter: Option<&String>) -> bool {
    parameter.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn shown(key: &ApiKeyDefinition, with_value: bool) -> Value {
    let mut shown = json!({
        "id": key.id,
        "name": key.name,
        "enabled": key.enabled,
        "createdDate": seconds(key.created),
        "lastUpdatedDate": seconds(key.updated.max(key.created)),
        "stageKeys": [],
    });
    for (member, text) in [("description", &key.description), ("customerId", &key.customer)] {
        if !text.is_empty() {
            shown[member] = json!(text);
        }
    }
    if !key.tags.is_empty() {
        shown["tags"] = json!(key.tags);
    }
    if with_value {
        shown["value"] = json!(key.value);
    }
    shown
}
