//! `PublishVersion`, `ListVersionsByFunction`

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_catalog::LATEST;
use millstream_function::NewVersion;
use serde::Deserialize;
use serde_json::{Value, json};

use super::get_function::{MAX_ITEMS_MAX, limit};
use super::{Lambda, function_name, input};
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
}

pub(super) async fn publish(
    lambda: &Lambda,
    request: &RestRequest,
    name: &str,
) -> Result<Response<Bytes>, ServiceError> {
    // All members may be left out, and the body with them.
    let input: Input = if request.body.is_empty() { Input::default() } else { input(request)? };
    Constraints::new().length("description", input.description.as_deref(), 0, 256).finish()?;
    let name = function_name(name);
    let new = NewVersion {
        description: input.description,
        seen_revision: input.revision_id,
        seen_code_hash: input.code_sha256.filter(|seen| !seen.is_empty()),
    };
    let published = lambda.functions.publish(&name, new).await.map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::CREATED, &lambda.shown(&published)))
}

/// The function itself comes first; the marker is the last version of the page before.
pub(super) fn list(lambda: &Lambda, request: &RestRequest, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let parameters = request.parameters();
    let limit = limit(parameters.get("MaxItems").map(String::as_str), MAX_ITEMS_MAX)?;
    let function = lambda.functions.get(&function_name(name)).map_err(|error| lambda.error(&error))?;
    let after = parameters.get("Marker").filter(|marker| !marker.is_empty());
    let after = after.map(|marker| marker.parse::<u32>().unwrap_or(0));
    let mut versions: Vec<_> =
        function.all_versions().filter(|found| after.is_none() || found.version > after).collect();
    let more = versions.len() > limit;
    versions.truncate(limit);
    let marker = versions.last().filter(|_| more).map(|last| last.version.unwrap_or(0).to_string());
    let shown: Vec<Value> = versions
        .iter()
        .map(|found| match found.version {
            Some(_) => lambda.shown(found),
            None => lambda.shown_as(found, &format!("{}:{LATEST}", found.name)),
        })
        .collect();
    Ok(document(StatusCode::OK, &json!({ "Versions": shown, "NextMarker": marker })))
}
