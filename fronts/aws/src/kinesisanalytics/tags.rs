//! `TagResource`, `UntagResource`, `ListTagsForResource`, and tags as requests give them.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::QueryDefinition;
use millstream_query::TAGS_MAX;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{KinesisAnalytics, invalid};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::resource;

/// Tags or keys of one request.
const REQUEST_MAX: usize = 200;

/// A tag; one without a value has the empty one.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    #[serde(rename = "Tags")]
    tags: Option<Vec<Tag>>,
    #[serde(rename = "TagKeys")]
    tag_keys: Option<Vec<String>>,
}

/// Tags of a request, each within the service's limits.
pub(super) fn read(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, ServiceError> {
    let mut constraints = Constraints::new();
    for (index, tag) in tags.iter().enumerate() {
        let (key, value) = (format!("tags.{}.member.key", index + 1), format!("tags.{}.member.value", index + 1));
        constraints.required(&key, tag.key.as_ref()).length(&key, tag.key.as_deref(), 1, 128).length(
            &value,
            tag.value.as_deref(),
            0,
            256,
        );
    }
    constraints.finish()?;
    let tags = tags.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect();
    within_limit(tags)
}

pub(super) async fn add(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let added = input.tags.filter(|tags| (1..=REQUEST_MAX).contains(&tags.len()));
    let added = read(added.ok_or_else(|| invalid("Tags must be 1 to 200"))?)?;
    let query = application(front, input.resource_arn.as_deref())?;
    let changed = front.queries.change_tags(&query.name, |tags| tags.extend(added)).await;
    changed.map_err(|error| front.error(&error))?;
    Ok(json!({}))
}

pub(super) async fn remove(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let keys = input.tag_keys.filter(|keys| (1..=REQUEST_MAX).contains(&keys.len()));
    let keys = keys.ok_or_else(|| invalid("TagKeys must be 1 to 200"))?;
    let query = application(front, input.resource_arn.as_deref())?;
    let changed = front.queries.change_tags(&query.name, |tags| tags.retain(|key, _| !keys.contains(key))).await;
    changed.map_err(|error| front.error(&error))?;
    Ok(json!({}))
}

pub(super) fn list(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let tags = tags_of(&*application(front, input.resource_arn.as_deref())?);
    let shown: Vec<Value> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "Tags": shown }))
}

fn application(front: &KinesisAnalytics, arn: Option<&str>) -> Result<Arc<QueryDefinition>, ServiceError> {
    Constraints::new().required("resourceARN", arn.as_ref()).finish()?;
    let arn = arn.unwrap_or_default();
    let name = resource(arn, "kinesisanalytics", "application/");
    front.application(name.ok_or_else(|| invalid(format!("{arn} is not the ARN of an application")))?)
}

fn tags_of(query: &QueryDefinition) -> BTreeMap<String, String> {
    query.resource.as_ref().map(|resource| resource.tags.clone()).unwrap_or_default()
}

fn within_limit(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ServiceError> {
    if tags.len() > TAGS_MAX {
        let message = format!("An application can have at most {TAGS_MAX} tags, found {}", tags.len());
        return Err(ServiceError::new("TooManyTagsException", message));
    }
    Ok(tags)
}
