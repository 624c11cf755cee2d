//! `AddTagsToStream`, `RemoveTagsFromStream`, `ListTagsForStream`, and their newer forms by ARN, for consumers too:
//! `TagResource`, `UntagResource`, `ListTagsForResource`.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_catalog::StreamConsumer;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Kinesis;
use super::resource::Resource;
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Tags of one request to add.
const ADDED_MAX: usize = 200;
/// Keys of one request to remove, and tags of a page of a listing.
const PAGE_MAX: usize = 50;

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    #[serde(rename = "Tags")]
    tags: Option<BTreeMap<String, String>>,
    #[serde(rename = "TagKeys")]
    tag_keys: Option<Vec<String>>,
    #[serde(rename = "Limit")]
    limit: Option<i64>,
    #[serde(rename = "ExclusiveStartTagKey")]
    exclusive_start_tag_key: Option<String>,
}

impl Input {
    /// Whether the operation takes any resource, by its ARN; otherwise it takes a stream.
    fn is_of_resource(request: &JsonRequest) -> bool {
        matches!(request.operation.as_str(), "TagResource" | "UntagResource" | "ListTagsForResource")
    }

    /// Notes what of the resource's name is missing.
    fn check_resource(&self, constraints: &mut Constraints, request: &JsonRequest) {
        if Self::is_of_resource(request) {
            constraints.required("resourceARN", self.resource_arn.as_ref());
        }
    }

    /// What has the tags; members that the operation does not have do not count.
    fn resource(&self, kinesis: &Kinesis, request: &JsonRequest) -> Result<Resource, ServiceError> {
        if Self::is_of_resource(request) {
            return Resource::of_arn(kinesis, self.resource_arn.as_deref().unwrap_or_default());
        }
        let stream = kinesis.stream(self.stream_name.as_deref(), self.stream_arn.as_deref())?;
        Ok(Resource { stream, consumer: None })
    }
}

pub(super) async fn add(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let mut input: Input = request.input()?;
    let mut constraints = Constraints::new();
    constraints.required("tags", input.tags.as_ref());
    input.check_resource(&mut constraints, request);
    constraints.finish()?;
    let tags = input.tags.take().unwrap_or_default();
    if tags.is_empty() {
        let constraint = "Member must have length greater than or equal to 1";
        Constraints::new().broken("tags", Some("{}"), constraint).finish()?;
    }
    check(&tags)?;
    let Resource { stream, consumer } = input.resource(kinesis, request)?;
    let added = match consumer {
        Some(consumer) => {
            kinesis.streams.change_consumer(&stream.name, &consumer.name, |found| found.tags.extend(tags)).await
        }
        None => kinesis.streams.add_tags(&stream.name, tags).await,
    };
    added.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}

/// Whether tags may be given.
pub(super) fn check(tags: &BTreeMap<String, String>) -> Result<(), ServiceError> {
    let shown = || {
        let pairs: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{{{}}}", pairs.join(", "))
    };
    let mut constraints = Constraints::new();
    if tags.len() > ADDED_MAX {
        let constraint = format!("Member must have length less than or equal to {ADDED_MAX}");
        constraints.broken("tags", Some(&shown()), &constraint);
    }
    if tags.keys().any(|key| !is_key(key)) {
        let constraint = "Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must \
                          have length greater than or equal to 1]";
        constraints.broken("tags", Some(&shown()), constraint);
    }
    if tags.values().any(|value| value.chars().count() > 256) {
        let constraint = "Map value must satisfy constraint: [Member must have length less than or equal to 256, Member must \
                          have length greater than or equal to 0]";
        constraints.broken("tags", Some(&shown()), constraint);
    }
    constraints.finish()?;
    check_characters(tags.iter().flat_map(|(key, value)| [key, value]))
}

pub(super) async fn remove(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    constraints.required("tagKeys", input.tag_keys.as_ref());
    input.check_resource(&mut constraints, request);
    let keys = input.tag_keys.as_deref().unwrap_or_default();
    let shown = format!("[{}]", keys.join(", "));
    if input.tag_keys.is_some() && keys.is_empty() {
        constraints.broken("tagKeys", Some(&shown), "Member must have length greater than or equal to 1");
    }
    if keys.len() > PAGE_MAX {
        let constraint = format!("Member must have length less than or equal to {PAGE_MAX}");
        constraints.broken("tagKeys", Some(&shown), &constraint);
    }
    if keys.iter().any(|key| !is_key(key)) {
        let constraint = "Member must satisfy constraint: [Member must have length less than or equal to 128, Member must \
                          have length greater than or equal to 1]";
        constraints.broken("tagKeys", Some(&shown), constraint);
    }
    constraints.finish()?;
    check_characters(keys.iter())?;
    let Resource { stream, consumer } = input.resource(kinesis, request)?;
    let removed = match consumer {
        Some(consumer) => {
            let remove = |found: &mut StreamConsumer| found.tags.retain(|key, _| !keys.contains(key));
            kinesis.streams.change_consumer(&stream.name, &consumer.name, remove).await
        }
        None => kinesis.streams.remove_tags(&stream.name, keys).await,
    };
    removed.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}

pub(super) fn list(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    input.check_resource(&mut constraints, request);
    if Input::is_of_resource(request) {
        constraints.finish()?;
        let Resource { stream, consumer } = input.resource(kinesis, request)?;
        let tags = consumer.as_ref().map_or(&stream.tags, |consumer| &consumer.tags);
        return Ok(json!({ "Tags": tags.iter().map(tag).collect::<Vec<_>>() }));
    }
    let after = input.exclusive_start_tag_key.as_ref();
    constraints
        .range("limit", input.limit, 1, PAGE_MAX as i64)
        .length("exclusiveStartTagKey", after.map(String::as_str), 1, 128)
        .finish()?;
    let stream = input.resource(kinesis, request)?.stream;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_MAX);
    let rest: Vec<_> = stream.tags.iter().filter(|(key, _)| after.is_none_or(|after| *key > after)).collect();
    let page: Vec<Value> = rest.iter().take(limit).copied().map(tag).collect();
    Ok(json!({ "Tags": page, "HasMoreTags": rest.len() > limit }))
}

fn tag((key, value): (&String, &String)) -> Value {
    json!({ "Key": key, "Value": value })
}

fn is_key(key: &str) -> bool {
    (1..=128).contains(&key.chars().count())
}

fn check_characters<'t>(mut texts: impl Iterator<Item = &'t String>) -> Result<(), ServiceError> {
    let allowed = |char: char| char.is_alphanumeric() || char.is_whitespace() || "_./=+-%@:".contains(char);
    if texts.all(|text| text.chars().all(allowed)) {
        return Ok(());
    }
    Err(ServiceError::new(
        "InvalidArgumentException",
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @ :.",
    ))
}
