//! The account: `GET /`.

use http::StatusCode;
use serde_json::json;

use super::answer::Answer;
use crate::request::AzureRequest;

/// The only place that there is.
const LOCATION: &str = "local";

/// Clients go on where they were led to: to the host that they asked.
pub(super) fn read(request: &AzureRequest) -> Answer {
    let location = json!([{ "name": LOCATION, "databaseAccountEndpoint": format!("{}/", request.origin()) }]);
    let replication = json!({ "asyncReplication": false, "minReplicaSetSize": 1, "maxReplicasetSize": 1 });
    Answer::of(
        StatusCode::OK,
        &json!({
            "_self": "",
            "id": "millstream",
            "_rid": "millstream",
            "media": "//media/",
            "addresses": "//addresses/",
            "_dbs": "//dbs/",
            "writableLocations": location,
            "readableLocations": location,
            "enableMultipleWriteLocations": false,
            "userReplicationPolicy": replication,
            "systemReplicationPolicy": replication,
            "userConsistencyPolicy": { "defaultConsistencyLevel": "Session" },
            "readPolicy": { "primaryReadCoefficient": 1, "secondaryReadCoefficient": 1 },
            "queryEngineConfiguration": "{\"maxSqlQueryInputLength\":524288}",
        }),
    )
}
