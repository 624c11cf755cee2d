//! `TagResource`, `UntagResource`, `ListTagsForResource`

use std::collections::BTreeMap;

use super::{Answer, Sns, error, nothing};
use crate::json_protocol::ServiceError;
use crate::query_protocol::{Parameters, members};

/// Tags of a topic, as the service has it.
const TAGS_MAX: usize = 50;

/// The tags of a request.
pub(super) fn read(parameters: &Parameters) -> Result<BTreeMap<String, String>, ServiceError> {
    let tag = |mut member: Parameters| {
        let (key, value) = (member.take("Key").filter(|key| !key.is_empty()), member.take("Value"));
        key.map(|key| (key, value.unwrap_or_default())).ok_or_else(|| error::invalid("Tags"))
    };
    let tags: BTreeMap<_, _> = parameters.structures("Tags").into_iter().map(tag).collect::<Result<_, _>>()?;
    check(tags.len())?;
    Ok(tags)
}

fn check(count: usize) -> Result<(), ServiceError> {
    if count > TAGS_MAX {
        let message = format!("Could not complete request: tag quota of {TAGS_MAX} per resource exceeded");
        return Err(ServiceError::new("TagLimitExceeded", message));
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
    let mut all = sns.events.message_topic(&topic)?.tags.clone();
    all.extend(read(parameters)?);
    check(all.len())?;
    sns.events.change_message_topic(&topic, |_, tags| *tags = all).await?;
    Ok(nothing())
}

pub(super) async fn untag(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = topic(sns, parameters)?;
    let keys = parameters.texts("TagKeys");
    sns.events.change_message_topic(&topic, |_, tags| tags.retain(|key, _| !keys.contains(key))).await?;
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
