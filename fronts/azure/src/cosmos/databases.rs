//! Databases: `/dbs`, `/dbs/NAME`.

use http::{Method, StatusCode};
use millstream_catalog::DocumentDatabaseDefinition;
use millstream_document::{Documents, check_throughput, database_rid};
use serde_json::{Value, json};

use super::answer::Answer;
use super::error::CosmosError;
use super::{method_not_allowed, offers, queries};
use crate::request::AzureRequest;

pub(super) async fn of_account(documents: &Documents, request: &AzureRequest) -> Result<Answer, CosmosError> {
    let all = || documents.databases().iter().map(|database| description(database)).collect::<Vec<_>>();
    match request.method {
        Method::GET => Ok(Answer::feed("", "Databases", all())),
        Method::POST if queries::is_query(request) => {
            Ok(Answer::feed("", "Databases", queries::over(request, &all())?))
        }
        Method::POST => {
            let body = queries::body(request)?;
            let throughput = offers::of_request(request)?;
            throughput.map(check_throughput).transpose()?;
            let database = documents.create_database(name(&body)?).await?;
            if let Some(throughput) = throughput {
                documents.set_throughput(&database.name, None, throughput, None).await?;
                let database = documents.database(&database.name)?;
                return Ok(Answer::resource(StatusCode::CREATED, &description(&database)));
            }
            Ok(Answer::resource(StatusCode::CREATED, &description(&database)))
        }
        _ => Err(method_not_allowed(request)),
    }
}

pub(super) async fn one(documents: &Documents, request: &AzureRequest, database: &str) -> Result<Answer, CosmosError> {
    match request.method {
        Method::GET => Ok(Answer::resource(StatusCode::OK, &description(&*documents.database(database)?))),
        Method::DELETE => {
            documents.delete_database(database, request.header("if-match")).await?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        _ => Err(method_not_allowed(request)),
    }
}

/// The name that a body gives a new resource.
pub(super) fn name(body: &Value) -> Result<&str, CosmosError> {
    body["id"].as_str().ok_or_else(|| {
        CosmosError::bad_request("The input content is invalid because the required properties - 'id; ' - are missing.")
    })
}

fn description(database: &DocumentDatabaseDefinition) -> Value {
    let rid = database_rid(database.number);
    json!({
        "id": database.name,
        "_rid": rid,
        "_self": format!("dbs/{rid}/"),
        "_etag": database.etag,
        "_colls": "colls/",
        "_users": "users/",
        "_ts": database.created.div_euclid(1000),
    })
}
