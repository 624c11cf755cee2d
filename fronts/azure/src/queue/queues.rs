//! `Create Queue`, `Delete Queue`, `List Queues`, `Get Queue Metadata`, `Set Queue Metadata`

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use millstream_catalog::QueueSettings;
use millstream_queue::{NewQueue, QueueError};

use super::{Call, Queue, ServiceError, empty, error};
use crate::storage::xml;

const METADATA: &str = "x-ms-meta-";
/// Names of a page, as the service has it.
const RESULTS_MAX: i64 = 5_000;
/// How long messages stay that say nothing themselves: a week, as the service has it.
const RETENTION_SECONDS: u32 = 7 * 24 * 3_600;

pub(super) async fn create(service: &Queue, call: &Call<'_>) -> Result<Response<Bytes>, ServiceError> {
    check_name(call.queue())?;
    let metadata = read_metadata(&call.request.headers);
    let settings = QueueSettings { retention_seconds: RETENTION_SECONDS, ..QueueSettings::default() };
    let new = NewQueue { name: call.queue().to_owned(), settings, metadata: metadata.clone(), ..NewQueue::default() };
    match service.queues.create(new).await {
        Ok(_) => Ok(empty(StatusCode::CREATED)),
        Err(QueueError::QueueExists { .. }) if service.queues.get(call.queue())?.metadata == metadata => {
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn delete(service: &Queue, call: &Call<'_>) -> Result<Response<Bytes>, ServiceError> {
    service.queues.delete(call.queue()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) fn metadata(service: &Queue, call: &Call<'_>) -> Result<Response<Bytes>, ServiceError> {
    let definition = service.queues.get(call.queue())?;
    let count = service.queues.counts(call.queue())?.all();
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert("x-ms-approximate-messages-count", HeaderValue::from(count));
    for (name, value) in &definition.metadata {
        let name = HeaderName::try_from(format!("{METADATA}{name}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

pub(super) async fn set_metadata(service: &Queue, call: &Call<'_>) -> Result<Response<Bytes>, ServiceError> {
    let new = read_metadata(&call.request.headers);
    let changed = service.queues.change(call.queue(), |queue| {
        queue.metadata = new;
        Ok::<_, QueueError>(())
    });
    changed.await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) fn list(service: &Queue, call: &Call<'_>) -> Result<Response<Bytes>, ServiceError> {
    let text = |name| call.target.parameter(name).unwrap_or_default();
    let (prefix, after) = (text("prefix"), text("marker"));
    let limit = usize::try_from(call.number("maxresults", RESULTS_MAX, (1, RESULTS_MAX))?).unwrap_or(1);
    let mut queues = service.queues.list();
    queues.retain(|queue| queue.name.starts_with(prefix) && queue.name.as_str() > after);
    let more = queues.len() > limit;
    queues.truncate(limit);
    let next = queues.last().filter(|_| more).map(|queue| queue.name.as_str()).unwrap_or_default();
    let with_metadata = text("include").split(',').any(|word| word == "metadata");
    let endpoint = format!("{}/{}{}/", call.request.origin(), call.target.account, super::ACCOUNT_SUFFIX);
    let document = xml::document("EnumerationResults", &[("ServiceEndpoint", &endpoint)], |root| {
        root.text("Prefix", prefix);
        root.text("Marker", after);
        root.optional("MaxResults", call.target.parameter("maxresults"));
        root.child("Queues", |list| {
            for queue in &queues {
                list.child("Queue", |element| {
                    element.text("Name", &queue.name);
                    if with_metadata {
                        element.child("Metadata", |pairs| {
                            queue.metadata.iter().for_each(|(name, value)| pairs.text(name, value));
                        });
                    }
                });
            }
        });
        root.text("NextMarker", next);
    });
    Ok(xml::answer(document))
}

/// Source: "Naming Queues and Metadata".
fn check_name(name: &str) -> Result<(), ServiceError> {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let dashes = name.starts_with('-') || name.ends_with('-') || name.contains("--");
    if name.bytes().all(fine) && (3..=63).contains(&name.len()) && !dashes { Ok(()) } else { Err(error::bad_name()) }
}

fn read_metadata(headers: &HeaderMap) -> BTreeMap<String, String> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        let name = name.as_str().strip_prefix(METADATA)?;
        Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    };
    headers.iter().filter_map(pair).collect()
}
