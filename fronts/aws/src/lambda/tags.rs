//! `TagResource`, `UntagResource`, `ListTags`: of functions.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{Lambda, function_name, input};
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    tags: Option<BTreeMap<String, String>>,
}

/// Every operation, by method.
pub(super) async fn call(
    lambda: &Lambda,
    request: &RestRequest,
    method: &Method,
    resource: &str,
) -> Result<Response<Bytes>, ServiceError> {
    let name = function_name(resource);
    let changed = match *method {
        Method::GET => {
            let function = lambda.functions.get(&name).map_err(|error| lambda.error(&error))?;
            return Ok(document(StatusCode::OK, &json!({ "Tags": function.tags })));
        }
        Method::POST => {
            let tags = input::<Input>(request)?.tags;
            Constraints::new().required("tags", tags.as_ref()).finish()?;
            lambda.functions.tag(&name, tags.unwrap_or_default()).await
        }
        Method::DELETE => lambda.functions.untag(&name, &request.all("tagKeys")).await,
        _ => {
            let operation = format!("{method} {}", request.path);
            return Err(ServiceError { status: 404, ..ServiceError::unknown_operation("Lambda", &operation) });
        }
    };
    changed.map_err(|error| lambda.error(&error))?;
    Ok(lambda.no_content())
}
