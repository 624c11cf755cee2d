//! `TagDeliveryStream`, `UntagDeliveryStream`, `ListTagsForDeliveryStream`, and tags as requests give them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Firehose, check_name, invalid};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Tags of a page of a listing.
const PAGE_MAX: usize = 50;

/// A tag; one without a value has the empty one.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    delivery_stream_name: Option<String>,
    tags: Option<Vec<Tag>>,
    tag_keys: Option<Vec<String>>,
    limit: Option<i64>,
    exclusive_start_tag_key: Option<String>,
}

/// Tags of a request, each within the service's limits.
pub(super) fn read(tags: Option<Vec<Tag>>) -> Result<BTreeMap<String, String>, ServiceError> {
    let mut constraints = Constraints::new();
    let tags = tags.unwrap_or_default();
    for (index, tag) in tags.iter().enumerate() {
        let member = format!("tags.{}.member", index + 1);
        constraints
            .required(&format!("{member}.key"), tag.key.as_ref())
            .length(&format!("{member}.key"), tag.key.as_deref(), 1, 128)
            .length(&format!("{member}.value"), tag.value.as_deref(), 0, 256);
    }
    constraints.finish()?;
    if let Some(tag) = tags.iter().find(|tag| tag.key.as_deref().is_some_and(|key| key.starts_with("aws:"))) {
        return Err(invalid(format!("{} begins with aws:, which is reserved", tag.key.as_deref().unwrap_or_default())));
    }
    Ok(tags.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect())
}

pub(super) async fn add(firehose: &Firehose, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new().required("tags", input.tags.as_ref()).finish()?;
    let new = read(input.tags)?;
    change(firehose, input.delivery_stream_name, |tags| tags.extend(new)).await
}

pub(super) async fn remove(firehose: &Firehose, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new().required("tagKeys", input.tag_keys.as_ref()).finish()?;
    let keys = input.tag_keys.unwrap_or_default();
    change(firehose, input.delivery_stream_name, |tags| tags.retain(|key, _| !keys.contains(key))).await
}

async fn change(
    firehose: &Firehose,
    name: Option<String>,
    change: impl FnOnce(&mut BTreeMap<String, String>),
) -> Result<Value, ServiceError> {
    check_name(name.as_deref())?;
    let name = name.unwrap_or_default();
    firehose.deliveries.change_tags(&name, change).await.map_err(|error| firehose.error(&error))?;
    Ok(json!({}))
}

pub(super) fn list(firehose: &Firehose, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    check_name(input.delivery_stream_name.as_deref())?;
    Constraints::new().range("limit", input.limit, 1, 50).finish()?;
    let name = input.delivery_stream_name.unwrap_or_default();
    let stream = firehose.deliveries.get(&name).map_err(|error| firehose.error(&error))?;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_MAX);
    let after = input.exclusive_start_tag_key;
    let rest: Vec<_> = stream.tags.iter().filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after)).collect();
    let page: Vec<Value> = rest.iter().take(limit).map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "Tags": page, "HasMoreTags": rest.len() > limit }))
}
