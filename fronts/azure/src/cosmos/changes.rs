//! The feed of changes: a `GET` of documents with the header `A-IM`.
//!
//! Where to begin is told by `If-None-Match` (`*`: now; else where a page ended) or `If-Modified-Since`, and by neither for the
//! beginning. A page's end is its etag; 304 says that nothing changed since.

use std::sync::Arc;

use http::StatusCode;
use millstream_catalog::DocumentContainerDefinition;
use millstream_document::{ChangesFrom, ChangesRequest, Documents, container_rid};

use super::answer::Answer;
use super::error::CosmosError;
use super::{partition_key, queries};
use crate::request::AzureRequest;
use crate::time;

/// Whether a request asks for it.
pub(super) fn is_meant(request: &AzureRequest) -> bool {
    request.header("a-im").is_some()
}

/// A page of changed documents.
pub(super) async fn page(
    documents: &Documents,
    request: &AzureRequest,
    container: &Arc<DocumentContainerDefinition>,
) -> Result<Answer, CosmosError> {
    if !request.header("a-im").is_some_and(|feed| feed.eq_ignore_ascii_case("Incremental Feed")) {
        return Err(CosmosError::unsupported("Change feeds of all versions and deletes"));
    }
    let asked = ChangesRequest {
        partition: partition_key::of_request(request, container)?,
        range: queries::range(request),
        rows_max: queries::rows_max(request)?,
        from: from(request)?,
    };
    let page = documents.changes(container, asked).await?;
    let etag = format!("\"{}\"", page.continuation);
    if page.rows.is_empty() && !page.more {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED).header("etag", &etag));
    }
    Ok(Answer::feed(&container_rid(container), "Documents", page.rows).header("etag", &etag))
}

fn from(request: &AzureRequest) -> Result<ChangesFrom, CosmosError> {
    match (request.header("if-none-match"), request.header("if-modified-since")) {
        (Some("*"), _) => Ok(ChangesFrom::Now),
        (Some(etag), _) => Ok(ChangesFrom::Continuation(etag.trim_matches('"').to_owned())),
        (None, Some(since)) => {
            let wrong = || CosmosError::bad_request(format!("The header If-Modified-Since is no date: `{since}`."));
            Ok(ChangesFrom::Time(time::parse_rfc1123(since).ok_or_else(wrong)?))
        }
        (None, None) => Ok(ChangesFrom::Beginning),
    }
}
