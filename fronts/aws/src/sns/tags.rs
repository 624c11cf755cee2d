//! `TagResource`, `UntagResource`, `ListTagsForResource`

use std::collections::BTreeMap;

use super::{Answer, Sns, error, nothing};
use crate::json_protocol::ServiceError;
use crate::query_protocol::{Parameters, members};

/// Tags of a topic, as the service has it.
const TAGS_MAX: usize = 50;
/// Characters of a tag's key and value.
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

/// The tags of a request.
pub(super) fn read(parameters: &Parameters) -> Result<BTreeMap<String, String>, ServiceError> {
    let tag = |mut member: Parameters| {
        let (key, value) = (member.take("Key").filter(|key| !key.is_empty()), member.take("Value"));
        key.map(|key| (key, value.unwrap_or_default())).ok_or_else(|| error::invalid("Tags"))
    };
    let tags: BTreeMap<_, _> = parameters.structures("Tags").into_iter().map(tag).collect::<Result<_, _>>()?;
    check(&tags)?;
    Ok(tags)
}

/// Checks all tags that a topic is to have.
fn check(tags: &BTreeMap<String, String>) -> Result<(), ServiceError> {
    if tags.len() > TAGS_MAX {
        let message = format!("Could not complete request: tag quota of {TAGS_MAX} per resource exceeded");
        return Err(ServiceError::new("TagLimitExceeded", message));
    }
    let long = |(key, value): (&String, &String)| {
        key.chars().count() > KEY_CHARS_MAX || value.chars().count() > VALUE_CHARS_MAX
    };
    if tags.iter().any(long) {
        return Err(error::invalid_because("Tags", "a key has at most 128 characters, a value 256"));
    }
    Ok(())
}

/// The topic that tags are of; a missing one has an error of its own.
fn topic(sns: &Sns, parameters: &Parameters) -> Result<String, ServiceError> {
    let topic = sns.topic_of(parameters, "ResourceArn")?;
    let missing = |_| ServiceError { status: 404, ..ServiceError::new("ResourceNotFound", "Resource does not exist") };
    sns.events.message_topic(&topic).map_err(missing)?;
    Ok(topic)
}

pub(super) async fn tag(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = topic(sns, parameters)?;
    let tags = read(parameters)?;
    if tags.is_empty() {
        return Err(error::invalid("Tags"));
    }
    let changed = sns.events.change_message_topic(&topic, |topic| {
        topic.tags.extend(tags);
        check(&topic.tags)
    });
    changed.await?;
    Ok(nothing())
}

pub(super) async fn untag(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = topic(sns, parameters)?;
    let keys = parameters.texts("TagKeys");
    if keys.is_empty() {
        return Err(error::invalid("TagKeys"));
    }
    let changed = sns.events.change_message_topic(&topic, |topic| {
        topic.tags.retain(|key, _| !keys.contains(key));
        Ok::<_, ServiceError>(())
    });
    changed.await?;
    Ok(nothing())
}

pub(super) fn list(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = sns.events.message_topic(&topic(sns, parameters)?)?;
    let tags: Vec<(String, String)> = topic.tags.clone().into_iter().collect();
    Ok(Box::new(move |result| {
        members(result, "Tags", &tags, |member, (key, value)| {
            member.text("Key", key);
            member.text("Value", value);
        });
    }))
}
