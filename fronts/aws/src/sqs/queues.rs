//! `CreateQueue`, `GetQueueUrl`, `ListQueues`, `DeleteQueue`, `PurgeQueue`, and tags

use std::collections::BTreeMap;

use millstream_catalog::QueueSettings;
use millstream_queue::{NewQueue, QueueError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sqs, attributes, check_range, error, queue_input, queue_of};
use crate::json_protocol::{JsonRequest, ServiceError};

/// Queues of a page, as the service has it.
const RESULTS_MAX: i64 = 1_000;
/// Tags of a queue, as the service has it.
const TAGS_MAX: usize = 50;
/// Characters of a tag's key and value.
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
/// Milliseconds between two purges of a queue.
const PURGE_MS: i64 = 60_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    queue_name: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
    #[serde(alias = "tags")]
    tags: Option<BTreeMap<String, String>>,
}

pub(super) async fn create(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: CreateInput = request.input()?;
    let name = input.queue_name.ok_or_else(|| error::missing("QueueName"))?;
    if name.ends_with(".fifo") {
        return Err(error::unsupported("A FIFO queue"));
    }
    let given = input.attributes.unwrap_or_default();
    let mut settings = QueueSettings::default();
    attributes::read(&given, &mut settings)?;
    let policy = attributes::policy(&given)?;
    let tags = input.tags.unwrap_or_default();
    check_tags(&name, &tags)?;
    let new = NewQueue { name: name.clone(), settings, tags, policy: policy.clone().flatten(), ..NewQueue::default() };
    match sqs.queues.create(new).await {
        Ok(_) => {}
        Err(QueueError::QueueExists { queue }) => {
            let found = sqs.queues.get(&queue)?;
            let mut asked = found.settings.clone();
            attributes::read(&given, &mut asked)?;
            if asked != found.settings || policy.is_some_and(|policy| policy != found.policy) {
                return Err(QueueError::QueueExists { queue }.into());
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(json!({ "QueueUrl": sqs.queue_url(request, &name) }))
}

pub(super) fn url(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        queue_name: Option<String>,
        #[serde(rename = "QueueOwnerAWSAccountId")]
        owner: Option<String>,
    }
    let input: Input = request.input()?;
    let name = input.queue_name.ok_or_else(|| error::missing("QueueName"))?;
    if input.owner.is_some_and(|owner| owner != sqs.place.account) {
        // All queues here are of one account.
        return Err(QueueError::QueueNotFound { queue: name }.into());
    }
    sqs.queues.get(&name)?;
    Ok(json!({ "QueueUrl": sqs.queue_url(request, &name) }))
}

pub(super) fn list(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        queue_name_prefix: Option<String>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    let input: Input = request.input()?;
    let limit = check_range("MaxResults", input.max_results, 1, RESULTS_MAX)?;
    let (prefix, after) = (input.queue_name_prefix.unwrap_or_default(), input.next_token.unwrap_or_default());
    let mut queues = sqs.queues.list();
    queues.retain(|queue| queue.name.starts_with(&prefix) && queue.name > after);
    let limit_or_all = usize::try_from(limit.unwrap_or(RESULTS_MAX)).unwrap_or(1);
    let more = queues.len() > limit_or_all;
    queues.truncate(limit_or_all);
    let urls: Vec<String> = queues.iter().map(|queue| sqs.queue_url(request, &queue.name)).collect();
    let mut answer = json!({ "QueueUrls": urls });
    // The service tells of a further page only to those who ask for pages.
    if let Some(last) = queues.last().filter(|_| more && limit.is_some()) {
        answer["NextToken"] = json!(last.name);
    }
    Ok(answer)
}

pub(super) async fn delete(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    sqs.queues.delete(&queue_input(request)?).await?;
    Ok(json!({}))
}

pub(super) async fn purge(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    sqs.queues.purge_apart(&queue_input(request)?, PURGE_MS).await?;
    Ok(json!({}))
}

pub(super) fn dead_letter_sources(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        queue_url: Option<String>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    let input: Input = request.input()?;
    let limit = check_range("MaxResults", input.max_results, 1, RESULTS_MAX)?;
    let queue = sqs.queues.get(&queue_of(input.queue_url.as_deref())?)?;
    let after = input.next_token.unwrap_or_default();
    let mut sources = sqs.queues.dead_letter_sources(&queue.name);
    sources.retain(|name| *name > after);
    let most = usize::try_from(limit.unwrap_or(RESULTS_MAX)).unwrap_or(1);
    let more = sources.len() > most;
    sources.truncate(most);
    let urls: Vec<String> = sources.iter().map(|name| sqs.queue_url(request, name)).collect();
    let mut answer = json!({ "queueUrls": urls });
    if let Some(last) = sources.last().filter(|_| more && limit.is_some()) {
        answer["NextToken"] = json!(last);
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagInput {
    queue_url: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    tag_keys: Option<Vec<String>>,
}

pub(super) async fn tag(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: TagInput = request.input()?;
    let queue = queue_of(input.queue_url.as_deref())?;
    let tags = input.tags.filter(|tags| !tags.is_empty()).ok_or_else(|| error::missing("Tags"))?;
    let changed = sqs.queues.change(&queue, |queue| {
        queue.tags.extend(tags);
        check_tags(&queue.name, &queue.tags)
    });
    changed.await?;
    Ok(json!({}))
}

pub(super) async fn untag(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: TagInput = request.input()?;
    let queue = queue_of(input.queue_url.as_deref())?;
    let keys = input.tag_keys.filter(|keys| !keys.is_empty()).ok_or_else(|| error::missing("TagKeys"))?;
    let changed = sqs.queues.change(&queue, |queue| {
        queue.tags.retain(|key, _| !keys.contains(key));
        Ok::<_, ServiceError>(())
    });
    changed.await?;
    Ok(json!({}))
}

/// Checks all tags that a queue is to have.
fn check_tags(queue: &str, tags: &BTreeMap<String, String>) -> Result<(), ServiceError> {
    if tags.len() > TAGS_MAX {
        return Err(error::invalid(format!("Too many tags added for queue {queue}.")));
    }
    let wrong = |(key, value): &(&String, &String)| {
        !(1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count()) || value.chars().count() > TAG_VALUE_CHARS_MAX
    };
    match tags.iter().find(wrong) {
        Some((key, _)) => Err(error::invalid(format!(
            "The tag {key} is invalid. Reason: Tag keys must be between 1 and {TAG_KEY_CHARS_MAX} characters in length, \
             tag values at most {TAG_VALUE_CHARS_MAX}."
        ))),
        None => Ok(()),
    }
}

pub(super) fn tags(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    Ok(json!({ "Tags": sqs.queues.get(&queue_input(request)?)?.tags }))
}
