//! Offers: the throughput that databases and containers were made with. It is kept and told, and meters nothing.
//!
//! Source: the REST reference, "Offers": a feed that clients query by a resource's `_self`, and offers that they replace.

use http::{Method, StatusCode};
use millstream_catalog::Throughput;
use millstream_document::{Documents, container_rid, database_rid};
use serde_json::{Value, json};

use super::answer::Answer;
use super::error::CosmosError;
use super::{containers, method_not_allowed, queries};
use crate::request::AzureRequest;

/// Whose throughput an offer is.
struct Offer {
    database: String,
    container: Option<String>,
    description: Value,
}

pub(super) async fn of_account(documents: &Documents, request: &AzureRequest) -> Result<Answer, CosmosError> {
    let all: Vec<Value> = all(documents)?.into_iter().map(|offer| offer.description).collect();
    match request.method {
        Method::GET => Ok(Answer::feed("", "Offers", all)),
        Method::POST if queries::is_query(request) => Ok(Answer::feed("", "Offers", queries::over(request, &all)?)),
        _ => Err(method_not_allowed(request)),
    }
}

pub(super) async fn one(documents: &Documents, request: &AzureRequest, id: &str) -> Result<Answer, CosmosError> {
    let found = all(documents)?.into_iter().find(|offer| offer.description["id"] == id);
    let offer = found.ok_or_else(CosmosError::resource_not_found)?;
    match request.method {
        Method::GET => Ok(Answer::resource(StatusCode::OK, &offer.description)),
        Method::PUT => {
            let throughput = replacement(&queries::body(request)?, &offer.description)?;
            let (container, if_match) = (offer.container.as_deref(), request.header("if-match"));
            documents.set_throughput(&offer.database, container, throughput, if_match).await?;
            let replaced = all(documents)?.into_iter().find(|offer| offer.description["id"] == id);
            let replaced = replaced.ok_or_else(CosmosError::resource_not_found)?;
            Ok(Answer::resource(StatusCode::OK, &replaced.description))
        }
        _ => Err(method_not_allowed(request)),
    }
}

/// The throughput that the headers of a request for a new resource ask for.
pub(super) fn of_request(request: &AzureRequest) -> Result<Option<Throughput>, CosmosError> {
    match (request.header("x-ms-offer-throughput"), request.header("x-ms-cosmos-offer-autopilot-settings")) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Throughput::Manual { units: text.parse().map_err(|_| invalid(text))? })),
        (None, Some(text)) => {
            let settings: Value = serde_json::from_str(text)
                .map_err(|error| CosmosError::bad_request(format!("The autoscale settings are no JSON: {error}.")))?;
            autoscale(&settings).map(Some)
        }
        (Some(_), Some(_)) => {
            let message = "A resource has either manual or autoscale throughput: send one of the headers \
                           x-ms-offer-throughput and x-ms-cosmos-offer-autopilot-settings.";
            Err(CosmosError::bad_request(message))
        }
    }
}

fn all(documents: &Documents) -> Result<Vec<Offer>, CosmosError> {
    let mut offers = Vec::new();
    for database in documents.databases() {
        let rid = database_rid(database.number);
        if let Some(throughput) = database.throughput {
            let link = format!("dbs/{rid}/");
            let description = described(database.number, &rid, &link, &database.etag, throughput);
            offers.push(Offer { database: database.name.clone(), container: None, description });
        }
        for container in documents.containers(&database.name)? {
            if let Some(throughput) = container.throughput {
                let (rid, link) = (container_rid(&container), containers::link(&container));
                let description = described(container.number, &rid, &link, &container.etag, throughput);
                let (database, container) = (database.name.clone(), Some(container.name().to_owned()));
                offers.push(Offer { database, container, description });
            }
        }
    }
    Ok(offers)
}

fn described(number: u32, resource_id: &str, link: &str, etag: &str, throughput: Throughput) -> Value {
    // Lower case: clients sign an offer's id so.
    let id = format!("{number:08x}");
    let content = match throughput {
        Throughput::Manual { units } => {
            json!({ "offerThroughput": units, "offerIsRUPerMinuteThroughputEnabled": false })
        }
        // Nothing scales: the least of the range is what is shown as there now.
        Throughput::Autoscale { units_max } => {
            json!({ "offerThroughput": units_max / 10, "offerAutopilotSettings": { "maxThroughput": units_max } })
        }
    };
    json!({
        "id": id,
        "_rid": id,
        "_self": format!("offers/{id}/"),
        "_etag": etag,
        "offerVersion": "V2",
        "offerType": "Invalid",
        "offerResourceId": resource_id,
        "resource": link,
        "content": content,
    })
}

/// What a body makes of an offer, which stays of its kind.
fn replacement(body: &Value, known: &Value) -> Result<Throughput, CosmosError> {
    let settings =
        |offer: &Value| offer.pointer("/content/offerAutopilotSettings").filter(|found| !found.is_null()).cloned();
    match (settings(known), settings(body)) {
        (Some(_), Some(asked)) => autoscale(&asked),
        (None, None) => {
            let units = body.pointer("/content/offerThroughput").cloned().unwrap_or_default();
            let found = units.as_u64().and_then(|units| u32::try_from(units).ok());
            Ok(Throughput::Manual { units: found.ok_or_else(|| invalid(&units.to_string()))? })
        }
        _ => Err(CosmosError::unsupported("Changes between manual and autoscale throughput")),
    }
}

fn autoscale(settings: &Value) -> Result<Throughput, CosmosError> {
    if settings.get("autoUpgradePolicy").is_some_and(|policy| !policy.is_null()) {
        return Err(CosmosError::unsupported("Upgrade policies of autoscale throughput"));
    }
    let found = settings["maxThroughput"].as_u64().and_then(|units| u32::try_from(units).ok());
    let units_max = found.ok_or_else(|| invalid(&settings["maxThroughput"].to_string()))?;
    Ok(Throughput::Autoscale { units_max })
}

fn invalid(found: &str) -> CosmosError {
    CosmosError::bad_request(format!("The offer should have valid throughput values, found {found}."))
}
