//! SQS: queues by URL, name or ARN. Batches need the action of a single message.

use super::{ANY, Member, Need};
use crate::place::Place;

pub(super) fn need(place: &Place, operation: &str, member: Member<'_>) -> Need {
    let action = operation.strip_suffix("Batch").unwrap_or(operation);
    let url = || member("QueueUrl")?.trim_end_matches('/').rsplit('/').next().map(str::to_owned);
    let queue = match operation {
        "ListQueues" => None,
        "CreateQueue" | "GetQueueUrl" => member("QueueName"),
        _ => url(),
    };
    let moved = || ["SourceArn", "TaskHandle"].into_iter().find_map(member).filter(|arn| arn.starts_with("arn:"));
    let resource = queue.map(|queue| place.arn("sqs", &queue)).or_else(moved).unwrap_or_else(|| ANY.to_owned());
    Need::new(format!("sqs:{action}"), resource)
}
